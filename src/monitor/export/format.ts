import { csvLine } from '../../csv.ts';
import { redact, redactText } from '../../redact.ts';
import type { Row } from './rows.ts';

export type ExportFormat = 'csv' | 'json' | 'jsonl';
export const FORMATS = ['csv', 'json', 'jsonl'] as const satisfies ExportFormat[];

export const MEDIA_TYPES: Record<ExportFormat, string> = {
  csv: 'text/csv; charset=utf-8',
  json: 'application/json; charset=utf-8',
  jsonl: 'application/jsonl; charset=utf-8',
};

/** Digits of the other columns are ids and times; an e-mail address is one wherever it stands. */
const FREE_TEXT = ['error_message', 'outcome', 'detail', 'payload', 'result'];

/** The text of an export, in pieces of about a row. */
export async function* exportText(
  rows: AsyncIterable<Row>,
  options: { format: ExportFormat; columns: string[]; unmask: boolean },
): AsyncGenerator<string> {
  const { format, columns, unmask } = options;
  const clean = (row: Row) => (unmask ? row : masked(row));
  if (format === 'csv') {
    yield csvLine(columns);
    for await (const row of rows) yield csvLine(cells(clean(row), columns));
  } else if (format === 'jsonl') {
    for await (const row of rows) yield `${JSON.stringify(clean(row))}\n`;
  } else {
    let separator = '[\n';
    for await (const row of rows) {
      yield separator + JSON.stringify(clean(row));
      separator = ',\n';
    }
    yield separator === '[\n' ? '[]\n' : '\n]\n';
  }
}

function masked(row: Row): Row {
  const hidden = Object.entries(row).map(([name, value]) => {
    if (typeof value === 'string') return [name, redactText(value, !FREE_TEXT.includes(name))];
    return [name, FREE_TEXT.includes(name) ? redact(value) : value];
  });
  return Object.fromEntries(hidden);
}

function cells(row: Row, columns: string[]): unknown[] {
  return columns.map((name) => cell(name, row[name]));
}

function cell(name: string, value: unknown): unknown {
  if (value instanceof Date) return value.toISOString();
  return name === 'error_message' && typeof value === 'string' ? forCut(value) : value;
}

/**
 * An error stands before the keys, and runbooks take columns with `cut -d,` and count rows with `wc -l`, which know no
 * quotes: so it has neither a comma nor a line end in CSV. The other formats have it as it is.
 */
function forCut(error: string): string {
  return error.replaceAll(',', ';').replaceAll(/[\r\n]+/g, ' ');
}

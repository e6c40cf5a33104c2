import { styleText } from 'node:util';
import { csvLine } from '../csv.ts';
import type { Format, Io, Result } from './command.ts';

/** Prints a result on stdout in the format that was asked for. */
export async function print(io: Io, format: Format, result: Result): Promise<void> {
  if (result.silent) return;
  if (format === 'table' && result.text !== undefined) return io.out(result.text);
  if (format === 'json') return io.out(`${JSON.stringify(result.data, null, 2)}\n`);
  const rows = rowsOf(result);
  if (format === 'jsonl') return io.out(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const columns = result.columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (format === 'csv')
    return io.out([columns, ...rows.map((row) => columns.map((name) => row[name]))].map(csvLine).join(''));
  return io.out(table(columns, rows));
}

function rowsOf({ rows, data }: Result): Record<string, unknown>[] {
  if (rows) return rows;
  return (Array.isArray(data) ? data : [data]).map((row) => Object(row));
}

const LONGEST = 60;
const GAP = '  ';

/** Columns of text; a single row stands upright, a name and a value a line. */
function table(columns: string[], rows: Record<string, unknown>[]): string {
  const [only] = rows;
  if (rows.length === 1 && only && columns.length > 3) return upright(columns, only);
  const cells = rows.map((row) => columns.map((name) => shortened(cell(row[name]))));
  const widths = columns.map((name, n) => Math.max(name.length, ...cells.map((line) => line[n]?.length ?? 0)));
  const line = (words: string[]) =>
    words
      .map((word, n) => word.padEnd(widths[n] ?? 0))
      .join(GAP)
      .trimEnd();
  return [bold(line(columns.map((name) => name.toUpperCase()))), ...cells.map(line), ''].join('\n');
}

function upright(columns: string[], row: Record<string, unknown>): string {
  const width = Math.max(...columns.map((name) => name.length));
  return columns.map((name) => `${bold(name.padEnd(width))}${GAP}${cell(row[name])}\n`).join('');
}

/** Without what would move the cursor or ring the bell of a terminal: some of it comes from outside. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
}

function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  return plain(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

function shortened(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

/** Only on a terminal, and not with NO_COLOR. */
function bold(text: string): string {
  return styleText('bold', text, { stream: process.stdout });
}

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Row } from './bench.ts';
import type { Plan } from './explain.ts';

export type Report = {
  date: string;
  quick: boolean;
  machine: Record<string, string | number>;
  versions: Record<string, string>;
  settings: Record<string, string>;
  seconds: number;
  rows: Row[];
  plans: Record<string, Plan>;
};

const COLUMNS = ['what', 'measured', 'target', 'verdict'] as const;
const RESULTS = path.join(import.meta.dirname, 'results');

/** The table for a terminal. */
export function printTable(rows: Row[]): void {
  const table = [Object.fromEntries(COLUMNS.map((column) => [column, column])) as unknown as Row, ...rows];
  const width = (column: (typeof COLUMNS)[number]) => Math.max(...table.map((row) => row[column].length));
  for (const row of table)
    console.log(
      COLUMNS.map((column) => row[column].padEnd(width(column)))
        .join('  ')
        .trimEnd(),
    );
}

/** Writes results/latest.json, results/latest.md and results/plans.txt. Returns the path of the first. */
export function writeReport(report: Report): string {
  mkdirSync(RESULTS, { recursive: true });
  const file = path.join(RESULTS, 'latest.json');
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(path.join(RESULTS, 'latest.md'), markdown(report));
  const plans = Object.entries(report.plans).map(([name, { text }]) => `## ${name}\n\n${text}\n`);
  writeFileSync(path.join(RESULTS, 'plans.txt'), plans.join('\n'));
  return file;
}

/** The same as a page: `npm run bench -- --save` makes it RESULTS.md. */
export function markdown({ date, quick, machine, versions, settings, seconds, rows }: Report): string {
  const list = (facts: Record<string, string | number>) =>
    Object.entries(facts)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
  const line = (row: Row) => `| ${COLUMNS.map((column) => row[column]).join(' | ')} |`;
  return [
    '# Results',
    '',
    `\`npm run bench${quick ? ' -- --quick' : ''}\` of ${date}, ${Math.round(seconds / 60)} minutes. Trust the ratios, not the absolutes.`,
    '',
    `- Machine: ${list(machine)}`,
    `- Versions: ${list(versions)}`,
    `- PostgreSQL: ${list(settings)}`,
    '',
    '| what | measured | target | verdict |',
    '|---|---|---|---|',
    ...rows.map(line),
    '',
    'What misses its target says why in [NOTES](NOTES.md).',
    '',
  ].join('\n');
}

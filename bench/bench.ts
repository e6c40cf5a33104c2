import type { Postgres, Redis } from './servers.ts';

/** One line of the table: a target of the project, or of the load test, and what was measured. */
export type Row = {
  what: string;
  measured: string;
  target: string;
  verdict: 'met' | 'missed' | 'skipped' | '';
  /** Every figure behind it, a value per turn. */
  values: Record<string, number | number[] | boolean>;
};

export type Bench = {
  postgres: Postgres;
  redis: Redis | undefined;
  size: Size;
  progress(text: string): void;
};

/** How much of everything. `--quick` trades certainty for minutes. */
export type Size = {
  turns: number;
  jobs: number;
  requests: number;
  arrivals: number;
  completed: number;
  snapshotJobs: number;
  memoryJobs: number;
  dashboardRequests: number;
  /** Of 950 kB. */
  largeDeliveries: number;
  largeTurns: number;
};

export const FULL: Size = {
  turns: 5,
  jobs: 100_000,
  requests: 20_000,
  arrivals: 200,
  completed: 5_000_000,
  snapshotJobs: 20_000,
  memoryJobs: 1_000_000,
  dashboardRequests: 500,
  largeDeliveries: 1000,
  largeTurns: 2,
};

export const QUICK: Size = {
  turns: 2,
  jobs: 10_000,
  requests: 3_000,
  arrivals: 30,
  completed: 200_000,
  snapshotJobs: 5_000,
  memoryJobs: 100_000,
  dashboardRequests: 100,
  largeDeliveries: 100,
  largeTurns: 1,
};

/** Runs every side once per turn, each turn in another order, so that a slow minute does not hit one of them alone. */
export async function inTurns<T>(
  { size, progress }: Bench,
  what: string,
  sides: Record<string, () => Promise<T>>,
): Promise<Record<string, T[]>> {
  const names = Object.keys(sides);
  const results: Record<string, T[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let turn = 0; turn < size.turns; turn += 1) {
    const start = turn % names.length;
    for (const name of [...names.slice(start), ...names.slice(0, start)]) {
      progress(`${what}: ${name}, turn ${turn + 1} of ${size.turns}`);
      results[name]?.push(await (sides[name] as () => Promise<T>)());
    }
  }
  return results;
}

/** Gives `work` a database of its own. */
export async function withDatabase<T>(
  { postgres }: Bench,
  schema: 'tds' | 'empty',
  work: (url: string) => Promise<T>,
): Promise<T> {
  const url = await postgres.create(schema);
  try {
    await postgres.checkpoint();
    return await work(url);
  } finally {
    await postgres.drop(url);
  }
}

export const verdict = (met: boolean): Row['verdict'] => (met ? 'met' : 'missed');

/** 12,345 */
export const count = (n: number): string => Math.round(n).toLocaleString('en');
/** 1.23 */
export const two = (n: number): string => n.toFixed(2);

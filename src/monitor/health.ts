import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type DependencyHealth = { name: string; status: 'up' | 'down'; latency_ms: number };

const PATIENCE_MS = 2000;

/** Asks PostgreSQL for an answer and gives it 2 s; never throws. */
export async function checkPostgres(db: Database): Promise<DependencyHealth> {
  const started = performance.now();
  const answered = sql`select 1`.execute(db).then(
    () => true,
    () => false,
  );
  const up = await Promise.race([answered, giveUp(PATIENCE_MS)]);
  return { name: 'postgresql', status: up ? 'up' : 'down', latency_ms: millisecondsSince(started) };
}

function giveUp(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, ms, false).unref());
}

function millisecondsSince(started: number): number {
  return Math.round((performance.now() - started) * 100) / 100;
}

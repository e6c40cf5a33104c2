import { sql } from 'kysely';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { checkRedis } from '../queue/dispatch.ts';

export type DependencyHealth = { name: string; status: 'up' | 'down'; latency_ms: number };

const PATIENCE_MS = 2000;

/** What the work depends on: PostgreSQL, and Redis where it dispatches. Never throws. */
export async function checkDependencies(
  db: Database,
  { queueDriver, redisUrl }: Pick<Config, 'queueDriver' | 'redisUrl'>,
): Promise<DependencyHealth[]> {
  const redis = queueDriver === 'bullmq' && redisUrl ? [checkRedis(redisUrl)] : [];
  return Promise.all([checkPostgres(db), ...redis]);
}

/** Asks PostgreSQL for an answer and gives it 2 s; never throws. */
async function checkPostgres(db: Database): Promise<DependencyHealth> {
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

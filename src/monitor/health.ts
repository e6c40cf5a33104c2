import { sql } from 'kysely';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { schemaAdvice, schemaState } from '../db/schema-version.ts';
import { checkRedis } from '../queue/dispatch.ts';

export type DependencyHealth = {
  name: string;
  status: 'up' | 'down';
  latency_ms: number;
  /** What to do about it, where that is known. */
  advice?: string;
};

const PATIENCE_MS = 2000;

/** What the work depends on: PostgreSQL, the schema in it, and Redis where it dispatches. Never throws. */
export async function checkDependencies(
  db: Database,
  { queueDriver, redisUrl }: Pick<Config, 'queueDriver' | 'redisUrl'>,
): Promise<DependencyHealth[]> {
  const redis = queueDriver === 'bullmq' && redisUrl ? [checkRedis(redisUrl)] : [];
  const [postgres, schema, ...others] = await Promise.all([checkPostgres(db), checkSchema(db), ...redis]);
  // Of a database that is away nobody knows the schema: it is not listed, rather than called down.
  return [postgres, ...(schema ? [schema] : []), ...others];
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

/** Whether the database has the tables of this release; undefined when it does not answer. */
async function checkSchema(db: Database): Promise<DependencyHealth | undefined> {
  const started = performance.now();
  const state = await Promise.race([schemaState(db).catch(() => undefined), giveUp(PATIENCE_MS)]);
  if (!state) return undefined;
  const advice = schemaAdvice(state);
  const latency_ms = millisecondsSince(started);
  return advice ? { name: 'schema', status: 'down', latency_ms, advice } : { name: 'schema', status: 'up', latency_ms };
}

function giveUp(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, ms, false).unref());
}

function millisecondsSince(started: number): number {
  return Math.round((performance.now() - started) * 100) / 100;
}

import { sql } from 'kysely';
import type { Pool } from 'pg';
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

export type HealthOptions = {
  db: Database;
  pool: Pool;
  config: Pick<Config, 'queueDriver' | 'redisUrl'>;
  /** Opens a connection and throws when there is none to be had; default: only the pool's are tried. */
  probe?: (() => Promise<unknown>) | undefined;
};

/** Whoever asks gets an answer within 2 s, whatever hangs. */
export const PATIENCE_MS = 1500;
/** Anybody may ask, as often as they like: what has just been found out is told again. */
const FRESH_MS = 250;

/** What the work depends on: PostgreSQL, connections to it, the schema in it, and Redis where it dispatches. */
export class Health {
  readonly #options: HealthOptions;
  #latest: { startedAt: number; found: Promise<DependencyHealth[]>; ended: boolean } | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Never throws, and never takes much longer than `PATIENCE_MS`. All who ask at one time share one look. */
  check(): Promise<DependencyHealth[]> {
    const latest = this.#latest;
    if (latest && (!latest.ended || performance.now() - latest.startedAt < FRESH_MS)) return latest.found;
    const look = { startedAt: performance.now(), found: this.#look(), ended: false };
    this.#latest = look;
    look.found.finally(() => {
      look.ended = true;
    });
    return look.found;
  }

  async #look(): Promise<DependencyHealth[]> {
    const { db, config } = this.#options;
    const { queueDriver, redisUrl } = config;
    const redis = queueDriver === 'bullmq' && redisUrl ? [timed('redis', () => redisAnswers(redisUrl))] : [];
    const [database, schema, ...others] = await Promise.all([this.#database(), checkSchema(db), ...redis]);
    // Of a database that is away nobody knows the schema: it is not listed, rather than called down.
    return [...database, ...(schema ? [schema] : []), ...others];
  }

  /** A server that answers one of the two ways is up; the other way names what is the matter. */
  async #database(): Promise<DependencyHealth[]> {
    const { db, pool, probe } = this.#options;
    const [ours, another] = await Promise.all([
      timed('pool', () => sql`select 1`.execute(db)),
      probe ? timed('connections', probe) : undefined,
    ]);
    const isUp = ours.status === 'up' || another?.status === 'up';
    const postgresql = { name: 'postgresql', status: isUp ? 'up' : 'down', latency_ms: ours.latency_ms } as const;
    if (!isUp || !another) return [postgresql];
    const { waitingCount: waiting } = pool;
    return [
      postgresql,
      { ...ours, ...(ours.status === 'down' && { advice: poolAdvice(waiting) }) },
      { ...another, ...(another.status === 'down' && { advice: NO_CONNECTIONS }) },
    ];
  }
}

const NO_CONNECTIONS = 'PostgreSQL takes no further connection: end idle ones, or raise max_connections.';

function poolAdvice(waiting: number): string {
  return `All connections of this process are in use, and ${waiting} requests wait for one: look for long statements.`;
}

/** Whether the database has the tables of this release; undefined when it does not answer. */
async function checkSchema(db: Database): Promise<DependencyHealth | undefined> {
  const started = performance.now();
  const state = await within(PATIENCE_MS, schemaState(db));
  if (!state) return undefined;
  const advice = schemaAdvice(state);
  const latency_ms = millisecondsSince(started);
  return advice ? { name: 'schema', status: 'down', latency_ms, advice } : { name: 'schema', status: 'up', latency_ms };
}

async function redisAnswers(redisUrl: string): Promise<void> {
  const { status } = await checkRedis(redisUrl);
  if (status === 'down') throw new Error('Redis does not answer');
}

async function timed(name: string, work: () => Promise<unknown>): Promise<DependencyHealth> {
  const started = performance.now();
  const answered = work().then(() => true);
  const up = await within(PATIENCE_MS, answered);
  return { name, status: up ? 'up' : 'down', latency_ms: millisecondsSince(started) };
}

/** What the work answers; undefined when it throws, or takes longer. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, ms, undefined);
  return Promise.race([work.catch(() => undefined), late]).finally(() => clearTimeout(timer));
}

function millisecondsSince(started: number): number {
  return Math.round((performance.now() - started) * 100) / 100;
}

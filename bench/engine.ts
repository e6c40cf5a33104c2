/** TDS Core's own worker and inbox, put together as src/worker/worker.ts does, but with the handlers of the bench. */
import { randomUUID } from 'node:crypto';
import { openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { type Database, openDatabase } from '../src/db/database.ts';
import { inTransaction } from '../src/db/transaction.ts';
import type { Handler } from '../src/handlers/handler.ts';
import { Registry } from '../src/handlers/registry.ts';
import { Inbox } from '../src/inbox/store.ts';
import { createLogger } from '../src/log.ts';
import { ProcessMetrics } from '../src/monitor/prometheus/process-metrics.ts';
import { dispatchByPostgres } from '../src/queue/dispatch.ts';
import type { ClaimedEvent } from '../src/queue/event.ts';
import { finish } from '../src/queue/finish.ts';
import { queueStats } from '../src/queue/inspect.ts';
import { transition } from '../src/queue/state.ts';
import type { Outcome } from '../src/queue/vocabulary.ts';
import type { WorkerContext } from '../src/worker/context.ts';
import { Heartbeat } from '../src/worker/heartbeat.ts';
import { Loop } from '../src/worker/loop.ts';
import { Sweep } from '../src/worker/sweep.ts';
import { arrival, entityOf, PAYLOAD_BYTES } from './invoice.ts';

const LEASE_SECONDS = 30;
const POLICY = { maxAttempts: 3, baseSeconds: 1, maxSeconds: 10 };
/** How often a side asks whether its queue is empty: seldom enough to cost nothing. */
export const POLL_MS = 25;
/** Half of what the inbox holds in memory before it refuses. */
const BYTES_ON_THEIR_WAY = 32 << 20;

/** Lines are formatted and written as in production, where somebody else reads them. */
export const log = createLogger('tds-core-bench', 'info', { fd: openSync('/dev/null', 'w') });

export type Opened = { url: string; db: Database; pool: pg.Pool; close(): Promise<void> };

/** Connections as the worker has them; those of the API are left to the planner. */
export function open(url: string, max = 10, byIndex = true): Opened {
  return { url, ...openDatabase({ url, max, applicationName: 'tds-bench', byIndex, queryTimeoutMs: 0, log }) };
}

/** Starts a worker with everything it has in production: heartbeat, sweeps, log. */
export async function startWorker({ url, pool }: Opened, handlers: Handler[], concurrency = 10) {
  const context: WorkerContext = {
    ...{ workerId: randomUUID(), pool, handlerPool: pool, log, registry: new Registry(handlers), crash() {} },
    metrics: new ProcessMetrics(),
    dispatcher: dispatchByPostgres(pool),
    policy: POLICY,
  };
  const loop = new Loop(context, { concurrency });
  const heartbeat = new Heartbeat({
    ...{ url, workerId: context.workerId, leaseSeconds: LEASE_SECONDS, concurrency, log },
    inFlight: () => loop.inFlight,
    onWake: () => loop.wake(),
    onLeaseLost: () => loop.loseLeases(),
    onDrained() {},
  });
  const sweep = new Sweep({ context, loop, heartbeat, leaseSeconds: LEASE_SECONDS });
  await heartbeat.start();
  loop.start();
  sweep.start();
  return {
    async stop() {
      await loop.stop(5000);
      await sweep.stop();
      await heartbeat.stop();
    },
  };
}

/** Puts events into the queue the way they really come: parsed, then stored by the inbox. */
export async function fill(
  pool: pg.Pool,
  jobs: number,
  { sharedPercent = 0, first = 0, payloadBytes = PAYLOAD_BYTES } = {},
): Promise<void> {
  const inbox = new Inbox(pool, log);
  let n = first;
  const sender = async () => {
    while (n < first + jobs) {
      const next = n++;
      await inbox.accept(arrival(next, entityOf(next, sharedPercent), payloadBytes));
    }
  };
  const senders = Math.max(4, Math.min(256, Math.floor(BYTES_ON_THEIR_WAY / payloadBytes)));
  await Promise.all(Array.from({ length: senders }, sender));
}

/** Ends claimed events, all alike, without a worker. */
export async function end(pool: pg.Pool, workerId: string, events: ClaimedEvent[], outcome: Outcome): Promise<void> {
  const finished = events.map((event) => ({ event, transition: transition(event, outcome, POLICY), durationMs: 1 }));
  await inTransaction(pool, (client) => finish(client, workerId, finished));
}

export const DONE: Outcome = { kind: 'succeeded', label: 'applied' };

/** Resolves when everything in the queue is completed. */
export async function drained(db: Database): Promise<void> {
  for (;;) {
    const { pending, processing, retry } = await queueStats(db);
    if (pending + processing + retry === 0) return;
    await sleep(POLL_MS);
  }
}

/** The state in which every drain begins: statistics known, and the full-page writes of all sides ahead of them. */
export async function settle(pool: pg.Pool): Promise<void> {
  await pool.query('vacuum analyze');
  await pool.query('checkpoint');
}

export async function walPosition(pool: pg.Pool): Promise<bigint> {
  const { rows } = await pool.query(`select (pg_current_wal_insert_lsn() - '0/0')::text as bytes`);
  return BigInt(rows[0].bytes);
}

const OTHERS = `select from pg_stat_activity
  where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`;

/** Bytes written to temporary files in this database so far. Sessions tell when they end: it waits until all have. */
export async function tempBytes(url: string): Promise<number> {
  const { pool, close } = open(url, 1);
  while ((await pool.query(OTHERS)).rows.length > 0) await sleep(POLL_MS);
  const { rows } = await pool.query('select temp_bytes from pg_stat_database where datname = current_database()');
  await close();
  return Number(rows[0].temp_bytes);
}

/** A handler that reads the payload of every event and does nothing with it. `onEvent` sees each. */
export function noop(onEvent: () => void = () => {}): Handler {
  return {
    name: 'noop',
    eventTypes: ['*'],
    async handleBatch(events) {
      for (const event of events) {
        if ((event.payload as { total: number }).total !== 175)
          throw new Error('this is not the invoice that was sent');
        onEvent();
      }
      return undefined;
    },
  };
}

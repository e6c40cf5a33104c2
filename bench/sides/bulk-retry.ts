/** How long live events wait for their handler, on an idle worker and beside the retry of many dead letters. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../src/db/database.ts';
import type { Handler } from '../../src/handlers/handler.ts';
import { Inbox } from '../../src/inbox/store.ts';
import { advanceRetryRuns } from '../../src/queue/retry-runs/advance.ts';
import { startRetryRun } from '../../src/queue/retry-runs/start.ts';
import { log, open, settle, startWorker } from '../engine.ts';
import { addDeadLetters } from '../history.ts';
import { arrival } from '../invoice.ts';
import { side } from '../side.ts';

export type BulkRetryOptions = { url: string; letters: number; ratePerSecond: number; events: number; pauseMs: number };
export type BulkRetry = { idle: number[]; beside: number[]; seconds: number; status: string };

side<BulkRetryOptions, BulkRetry>(async ({ url, letters, ratePerSecond, events, pauseMs }) => {
  const api = open(url, 4, false);
  const opened = open(url);
  await addDeadLetters(opened.pool, letters);
  await settle(opened.pool);
  const inbox = new Inbox(api.pool, log);
  const started = new Map<string, (at: number) => void>();
  const worker = await startWorker(opened, [clock(started)]);
  let sent = 0;
  const latency = async () => {
    await sleep(pauseMs);
    const event = arrival(sent++);
    const entityId = event.parsed.kind === 'delivery' ? event.parsed.delivery.entityId : null;
    const ran = new Promise<number>((resolve) => started.set(entityId ?? '', resolve));
    const arrived = performance.now();
    await inbox.accept(event);
    return (await ran) - arrived;
  };
  const idle: number[] = [];
  while (idle.length < events) idle.push(await latency());
  const beside: number[] = [];
  const run = await retryEverything(api.db, ratePerSecond);
  const began = performance.now();
  while (!run.ended()) beside.push(await latency());
  const seconds = (performance.now() - began) / 1000;
  const status = await run.status();
  await worker.stop();
  return { idle, beside, seconds, status };
});

/** Tells when the events that somebody waits for begin. */
function clock(started: Map<string, (at: number) => void>): Handler {
  return {
    name: 'clock',
    eventTypes: ['*'],
    async handleBatch(batch) {
      const now = performance.now();
      for (const { entityId } of batch) started.get(entityId ?? '')?.(now);
      return undefined;
    },
  };
}

/** Starts a run over every dead letter and advances it once a second, as a worker does. */
async function retryEverything(db: Database, ratePerSecond: number) {
  const request = { selection: { filter: {} }, asked: {}, operator: 'bench', reason: null, force: false };
  const limits = { ratePerSecond, maxFailurePercent: 20, maxAttempts: 3 };
  const result = await db.transaction().execute((trx) => startRetryRun(trx, { ...request, ...limits }));
  if (result.outcome !== 'started') throw new Error(`the run did not start: ${result.outcome}`);
  const status = async () => {
    const run = db.selectFrom('tds_retry_runs').select('status').where('id', '=', result.id);
    return (await run.executeTakeFirstOrThrow()).status;
  };
  let ended = false;
  const advance = async () => {
    while (!ended) {
      await advanceRetryRuns(db, async () => {});
      ended = (await status()) !== 'running';
      if (!ended) await sleep(1000);
    }
  };
  const advancing = advance();
  return { ended: () => ended, status: () => advancing.then(status) };
}

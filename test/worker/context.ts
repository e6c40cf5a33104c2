/** What the worker works with, without a process around it. */
import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import type { Handler } from '../../src/handlers/handler.ts';
import { Registry } from '../../src/handlers/registry.ts';
import { ProcessMetrics } from '../../src/monitor/prometheus/process-metrics.ts';
import { dispatchByPostgres } from '../../src/queue/dispatch.ts';
import type { WorkerContext } from '../../src/worker/context.ts';
import { silentLog } from '../helper.ts';

type TestHandler = Partial<Handler> & Pick<Handler, 'handle' | 'handleBatch'>;

/** Handlers match every event unless they say otherwise. Retries come at once. */
export function testContext(pool: Pool, handlers: TestHandler[], log = silentLog): WorkerContext {
  const named = handlers.map((handler, n) => ({ name: `handler ${n}`, eventTypes: ['*'], ...handler }));
  return {
    ...{ workerId: randomUUID(), pool, handlerPool: pool, log, metrics: new ProcessMetrics() },
    registry: new Registry(named as Handler[]),
    dispatcher: dispatchByPostgres(pool),
    policy: { maxAttempts: 3, baseSeconds: 0, maxSeconds: 0 },
    crash() {},
  };
}

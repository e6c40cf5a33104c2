/** Events that fail in a worker, for tests of what is kept of it. */
import type { Pool } from 'pg';
import type { Handler } from '../../../src/handlers/handler.ts';
import { executeOne } from '../../../src/worker/execute.ts';
import { silentLog } from '../../helper.ts';
import { arrive, Claimer } from '../../queue/engine.ts';
import { testContext } from '../../worker/context.ts';

const never = new AbortController().signal;

/** Stores one event per entity and lets each be attempted once by this handler. Returns the events' ids. */
export async function attemptEach(
  pool: Pool,
  entities: string[],
  handle: Handler['handle'],
  { record, log = silentLog }: { record?: object; log?: typeof silentLog } = {},
): Promise<string[]> {
  const worker = testContext(pool, handle ? [{ name: 'crm', handle }] : [], log);
  const ids = await arrive(pool, entities, record ? { record: Buffer.from(JSON.stringify(record)) } : {});
  for (const event of await new Claimer(pool, worker.workerId).claim({ withPayload: true, limit: entities.length }))
    await executeOne(worker, event, never);
  return ids;
}

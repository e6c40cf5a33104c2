/** Fetches the records that webhooks told of in part or that a payment named, before any backfill. */
import type { Pool } from 'pg';
import type { Database } from '../db/database.ts';
import { exclusively } from '../db/transaction.ts';
import { pauseState } from '../queue/pause.ts';
import type { ZohoClient } from '../zoho/client/client.ts';
import { blamesZoho } from '../zoho/client/errors.ts';
import { pullModuleNamed } from '../zoho/modules/pull-modules.ts';
import { detailsOf } from './fetch-todo.ts';
import { defer, dueRefetches, endRefetches, retryLater, stillWanted, type Wanted } from './refetches.ts';
import { databaseTime, writePulled } from './write-pulled.ts';

const AT_ONCE = 50;

/**
 * Fetches everything that is due for the client's organization, while this process is the only one that does: a lock
 * that ends with its session. Ends early while processing is paused. Throws what stops all of it: the quota, the API that
 * is away, the signal's reason; nothing of that costs a record an attempt. Returns how many were fetched.
 */
export async function refetchDue(db: Database, pool: Pool, client: ZohoClient, signal: AbortSignal): Promise<number> {
  const { organizationId } = client;
  const fetched = await exclusively(pool, `tds_refetch ${organizationId}`, async () => {
    for (let sum = 0; ; ) {
      signal.throwIfAborted();
      if ((await pauseState(db)).paused) return sum;
      const due = await dueRefetches(db, organizationId, AT_ONCE);
      if (due.length === 0) return sum;
      for (const [module, ids] of byModule(due)) sum += await fetchSome(db, client, { module, ids }, signal);
    }
  });
  return fetched ?? 0;
}

function byModule(due: readonly Wanted[]): Map<string, string[]> {
  const modules = new Map<string, string[]>();
  for (const { module, id } of due) modules.set(module, [...(modules.get(module) ?? []), id]);
  return modules;
}

async function fetchSome(
  db: Database,
  client: ZohoClient,
  { module: name, ids }: { module: string; ids: string[] },
  signal: AbortSignal,
): Promise<number> {
  const { organizationId } = client;
  const key = { organizationId, module: name };
  const module = pullModuleNamed(name);
  const fetchedAt = await databaseTime(db);
  const { details, refused } = await detailsOf(client, module, ids, { lane: 'refetch', signal }).catch(
    async (error) => {
      if (blamesZoho(error)) await defer(db, key, ids, (error as Error).message);
      throw error;
    },
  );
  await db.transaction().execute(async (trx) => {
    const wanted = await stillWanted(trx, key, [...details.keys()]);
    const records = [...wanted].flatMap((id) => details.get(id) ?? []);
    const deletedIds = [...wanted].filter((id) => details.get(id) === null);
    await writePulled(trx, { organizationId, module, records, deletedIds, runId: null, reason: 'refetch', fetchedAt });
    const ended = [...wanted].map((id) => ({ id, version: details.get(id)?.version ?? null }));
    await endRefetches(trx, key, ended, fetchedAt);
  });
  for (const [id, why] of refused) await retryLater(db, key, [id], why);
  return details.size;
}

/** Full records for many ids, in as few calls as the API allows. */

import type { BulkDetail, PullModule } from '../modules/pull-modules.ts';
import { forBackfill } from '../quota/quota.ts';
import type { Turn, ZohoClient } from './client.ts';
import { ZohoError } from './errors.ts';
import { recordsIn, type ZohoRecord } from './records.ts';

/** Clients whose API has no bulk call for a module, and until when we believe it: then every record costs a call. */
const withoutBulk = new WeakMap<ZohoClient, Map<string, number>>();
const WITHOUT_BULK_MS = 600_000;

/** The record of each id that was asked for; null where Zoho says that it does not exist. */
export type Details = Map<string, ZohoRecord | null>;

/**
 * Fetches full records: in bulk where the API can, one by one where it cannot or left an id out. Throws the first
 * ZohoError; what was fetched until then stands in `found`, and what stands there is not fetched again.
 */
export async function fetchDetails(
  client: ZohoClient,
  module: PullModule,
  ids: readonly string[],
  turn: Turn,
  found: Details = new Map(),
): Promise<Details> {
  const wanted = ids.filter((id) => !found.has(id));
  if (module.bulk !== null) await fetchInBulk(client, module, module.bulk, wanted, turn, found);
  const rest = ids.filter((id) => !found.has(id));
  await inParallel(rest, atOnce(client, turn), async (id) => {
    found.set(id, await client.detail(module, id, turn));
  });
  return found;
}

async function fetchInBulk(
  client: ZohoClient,
  module: PullModule,
  bulk: BulkDetail,
  ids: readonly string[],
  turn: Turn,
  found: Details,
): Promise<void> {
  // One id costs one call either way, and its own path also says when it does not exist.
  if (ids.length < 2 || lacksBulk(client, module)) return;
  for (let at = 0; at < ids.length; at += bulk.max) {
    const asked = ids.slice(at, at + bulk.max);
    const records = await bulkAnswer(client, module, bulk, asked, turn);
    if (records === null) return rememberNoBulk(client, module);
    for (const record of records) if (asked.includes(record.id)) found.set(record.id, record);
  }
}

/** The full records of a bulk answer; null when this organization's API has no such call, or answered with its list. */
async function bulkAnswer(
  client: ZohoClient,
  module: PullModule,
  bulk: BulkDetail,
  ids: readonly string[],
  turn: Turn,
): Promise<ZohoRecord[] | null> {
  const query = { [bulk.parameter]: ids.join(','), per_page: String(ids.length) };
  try {
    const { text } = await client.get(module.api, bulk.path, query, turn, module.scope);
    const records = recordsIn(text, module.listKeys, module.idFields)?.records ?? null;
    const proven = records?.every(({ fields }) => bulk.proof === null || Object.hasOwn(fields, bulk.proof));
    return proven ? records : null;
  } catch (error) {
    const unknown = error instanceof ZohoError && (error.problem === 'refused' || error.problem === 'not-found');
    if (unknown) return null;
    throw error;
  }
}

function lacksBulk(client: ZohoClient, { name }: PullModule): boolean {
  return (withoutBulk.get(client)?.get(name) ?? 0) > performance.now();
}

function rememberNoBulk(client: ZohoClient, { name }: PullModule): void {
  const known = withoutBulk.get(client) ?? new Map<string, number>();
  withoutBulk.set(client, known.set(name, performance.now() + WITHOUT_BULK_MS));
}

/** More at once than the governor grants would only ask it again and again. */
function atOnce(client: ZohoClient, { lane }: Turn): number {
  const { limits } = client;
  return lane === 'backfill' ? forBackfill(limits.callsInFlight, limits) : limits.callsInFlight;
}

/** Does the work for each item, some at once; after the first failure no further item is begun. */
async function inParallel<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items].reverse();
  const lane = async () => {
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
      await work(item).catch((error) => {
        waiting.length = 0;
        throw error;
      });
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  const failed = lanes.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/** What a run would cost, before anybody starts it: one call per module, and nothing is written. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { Plan } from '../workflows/workflow.ts';
import type { ZohoClient } from '../zoho/client/client.ts';
import { MAX_PER_PAGE } from '../zoho/client/list.ts';
import type { PullModule } from '../zoho/modules/pull-modules.ts';
import { forBackfill } from '../zoho/quota/quota.ts';
import type { Approach } from './due.ts';
import { refusal } from './turn.ts';

type ModulePlan = { records: number | null; calls: number | null; problem?: string };

/** Records, calls and days of a run over these modules. A number is null where Zoho does not tell the total. */
export async function planOf(
  db: Kysely<Schema>,
  client: ZohoClient,
  modules: readonly PullModule[],
  approach: (module: PullModule) => Promise<Approach>,
  signal: AbortSignal,
): Promise<Plan> {
  const plans: Record<string, ModulePlan> = {};
  for (const module of modules)
    plans[module.name] = await planModule(db, client, module, await approach(module), signal);
  const all = Object.values(plans);
  const calls = sumOf(all.map((plan) => plan.calls));
  const { limit, left } = await quotaOfDay(db, client.organizationId);
  const usable = limit === null || left === null ? null : left - (limit - forBackfill(limit, client.limits));
  return {
    records: sumOf(all.map((plan) => plan.records)),
    calls,
    days: calls === null || usable === null ? null : daysFor(calls, usable),
    modules: plans,
  };
}

/** What Zoho still allows the organization today; null while it has not told. */
export async function quotaOfDay(
  db: Kysely<Schema>,
  organizationId: string,
): Promise<{ limit: number | null; left: number | null }> {
  const { rows } = await sql<{ limit: number | null; left: number | null }>`
    select day_limit as limit, case when day_resets_at > clock_timestamp() then day_remaining else day_limit end as left
    from tds_zoho_quota where organization_id = ${organizationId}`.execute(db);
  return rows[0] ?? { limit: null, left: null };
}

async function planModule(
  db: Kysely<Schema>,
  client: ZohoClient,
  module: PullModule,
  { strategy, since }: Approach,
  signal: AbortSignal,
): Promise<ModulePlan> {
  const query = { page: 1, perPage: 1, withTotal: true, ...(strategy === 'filter' && since !== null && { since }) };
  try {
    const { total } = await client.listPage(module, query, { lane: 'refetch', signal });
    if (total === null || strategy === 'sorted-scan') return { records: total, calls: null };
    const fresh = strategy === 'filter' ? total : Math.max(0, total - (await countKnown(db, client, module)));
    const details = module.bulk === null ? fresh : Math.ceil(fresh / module.bulk.max);
    return { records: total, calls: Math.max(1, Math.ceil(total / MAX_PER_PAGE)) + details };
  } catch (error) {
    const problem = refusal(error);
    if (problem === null) throw error;
    return { records: 0, calls: 0, problem };
  }
}

async function countKnown(db: Kysely<Schema>, { organizationId }: ZohoClient, { name }: PullModule): Promise<number> {
  const { rows } = await sql<{ known: number }>`
    select count(*)::int as known from tds_pull_rows
    where module = ${name} and organization_id = ${organizationId} and row_hash is not null`.execute(db);
  return rows[0]?.known ?? 0;
}

/** In tenths; a day without any call left counts as if one were. */
function daysFor(calls: number, usable: number): number {
  return Math.ceil((calls / Math.max(1, usable)) * 10) / 10;
}

function sumOf(numbers: readonly (number | null)[]): number | null {
  return numbers.reduce<number | null>((sum, n) => (sum === null || n === null ? null : sum + n), 0);
}

/** What Zoho Books sends, and whether it lets itself be called. */
import { sql } from 'kysely';
import { REJECTION_CAUSES, type RejectionCause } from '../../inbox/why-rejected.ts';
import { type Completeness, readCompleteness } from '../completeness.ts';
import { rejectionSummary } from '../rejections.ts';
import type { Examination } from './finding.ts';

const SILENT_HOURS = 24;
const FEW_CALLS_PERCENT = 10;

const silence: Examination = async (db) => {
  const { rows } = await sql<{ last: Date | null; silent: boolean | null }>`
    select max(queued_at) as last, max(queued_at) < now() - ${SILENT_HOURS} * interval '1 hour' as silent
    from (select queued_at from tds_sync_queue order by queued_at desc limit 1) q`.execute(db);
  const { last = null, silent = null } = rows[0] ?? {};
  if (!last || !silent) return [];
  return [
    {
      ...{ code: 'silent_webhooks', severity: 'warning', title: `Nothing has arrived for ${SILENT_HOURS} hours` },
      cause: 'the workflow rules in Zoho Books are off, the address changed, or deliveries are refused',
      evidence: `the last event came at ${last.toISOString()}`,
      next: 'npm run zoho -- check; journalctl -u tds-core-api -p warning -n 50',
    },
  ];
};

/** Others go on arriving, so the silence of one module shows only by its own rhythm, or by what a pull found. */
const silentModules: Examination = async (db) => {
  const silent = (await readCompleteness(db)).filter((module) => module.silent);
  if (silent.length === 0) return [];
  const names = silent.map(({ module }) => module);
  return [
    {
      ...{ code: 'silent_modules', severity: 'warning', title: `No webhook announces ${names.join(', ')}` },
      cause: silent.some(({ announced }) => announced === false)
        ? 'a workflow rule is missing or wrong in Zoho Books'
        : 'the workflow rules in Zoho Books are off, the address changed, or deliveries are refused',
      evidence: silent.map(silenceOf).join('; '),
      next: `tds zoho check --modules ${names.join(',')}; tds completeness`,
    },
  ];
};

function silenceOf({ organization_id, module, last_webhook_at, holes }: Completeness): string {
  const last = last_webhook_at ? `last webhook at ${last_webhook_at.toISOString()}` : 'never a webhook';
  return `${organization_id} ${module}: ${last}, ${holes} changes found by pull alone`;
}

const rejections: Examination = async (db) => {
  const { last_24_hours, rejected_since_accepted, last_accepted_at } = await rejectionSummary(db);
  const causes = Object.entries(last_24_hours).sort(([, a], [, b]) => b - a);
  const [most] = causes;
  if (!most) return [];
  return [
    {
      ...{ code: 'rejected_deliveries', title: 'Webhook deliveries are rejected' },
      // Strangers knock at any open door: it matters when nothing else comes in.
      severity: rejected_since_accepted > 0 ? 'warning' : 'info',
      cause: REJECTION_CAUSES[most[0] as RejectionCause] ?? most[0],
      evidence: `in 24 hours ${causes.map(([cause, count]) => `${count} ${cause}`).join(', ')}; the last one accepted at ${last_accepted_at?.toISOString() ?? 'no time'}`,
      next: 'curl dashboard/webhooks/rejected; tds zoho explain-signature --file body.json --header <signature>',
    },
  ];
};

const circuit: Examination = async (db) => {
  const { rows } = await sql<{ organization_id: string; failures: number; until: Date; reason: string | null }>`
    select organization_id, failures, paused_until as until, pause_reason as reason from tds_zoho_quota
    where paused_until > now() and pause_code is null and failures > 0`.execute(db);
  return rows.map(({ organization_id, failures, until, reason }) => ({
    ...{ code: 'open_circuit', severity: 'warning' as const, title: 'Calls to Zoho are paused after failures' },
    cause: reason ?? 'the API did not answer, or not well',
    evidence: `${organization_id}: ${failures} calls in a row failed, paused until ${until.toISOString()}`,
    next: "look at Zoho's status page; calls go on by themselves",
  }));
};

const unnamed: Examination = async (db, { defaultOrganization }) => {
  const { rows } = await sql<{ records: number }>`
    select count(*)::int as records from (
      select from books_records where organization_id = 'default' limit 1000) r`.execute(db);
  const records = rows[0]?.records ?? 0;
  if (records === 0) return [];
  return [
    {
      ...{ code: 'default_organization', severity: 'warning', title: 'Records belong to no organization' },
      cause: `deliveries named none, and ZOHO_ORGANIZATION_ID was ${defaultOrganization === 'default' ? 'not set' : 'set later'}`,
      evidence: `${records}${records === 1000 ? ' or more' : ''} rows of books_records under "default"`,
      next: 'set ZOHO_ORGANIZATION_ID, then npm run adopt-organization',
    },
  ];
};

const token: Examination = async (db) => {
  const query = db.selectFrom('tds_zoho_tokens').select(['organizations', 'failure', 'failed_at', 'refused_at']);
  const failed = await query.where('failure', 'is not', null).execute();
  return failed.map(({ organizations, failure, failed_at, refused_at }) => ({
    ...{ code: 'zoho_token', severity: refused_at ? ('critical' as const) : ('warning' as const) },
    title: 'Zoho gives no access token',
    cause: refused_at
      ? 'it refuses the refresh token: revoked, or of another data centre'
      : 'the accounts server did not answer well',
    evidence: `${organizations.join(', ')}: ${failure} at ${failed_at?.toISOString()}`,
    next: 'npm run zoho -- connect',
  }));
};

const quota: Examination = async (db) => {
  const { rows } = await sql<{
    organization_id: string;
    paused_until: Date | null;
    reason: string | null;
    remaining: number;
    day_limit: number;
  }>`
    select organization_id, case when paused_until > now() then paused_until end as paused_until, pause_reason as reason,
      coalesce(day_remaining, day_limit, 0) as remaining, coalesce(day_limit, 0) as day_limit
    from tds_zoho_quota
    where paused_until > now() and (pause_code is not null or failures = 0)
      or (day_resets_at > now() and day_limit > 0 and day_remaining * 100 < day_limit * ${FEW_CALLS_PERCENT}::int)`.execute(
    db,
  );
  return rows.map(({ organization_id, paused_until, reason, remaining, day_limit }) => ({
    ...{ code: 'zoho_quota', severity: 'warning' as const, title: 'Calls to Zoho are running out' },
    cause: paused_until ? (reason ?? 'Zoho asked to wait') : 'this system or another one has used up the day',
    evidence: `${organization_id}: ${remaining} of ${day_limit} calls left${paused_until ? `, waiting until ${paused_until.toISOString()}` : ''}`,
    next: 'wait for the next day of Zoho, or lower ZOHO_CALLS_PER_MINUTE',
  }));
};

export const zoho: Examination[] = [silence, silentModules, rejections, unnamed, token, circuit, quota];

/** What Zoho Books sends, and whether it lets itself be called. */
import { sql } from 'kysely';
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
    where paused_until > now()
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

export const zoho: Examination[] = [silence, unnamed, token, quota];

/** The audit log: whether its chain holds, and whether the services could forge it. */
import { sql } from 'kysely';
import { APP_ROLE } from '../../db/app-role.ts';
import { verifyLatestAudit } from '../verify-audit.ts';
import type { Examination } from './finding.ts';

/** A broken chain shows at its end, or where somebody altered an entry: months of entries are looked at, not all. */
const LATEST = 5000;

const chain: Examination = async (db) => {
  const { verdict, problems } = await verifyLatestAudit(db, LATEST);
  if (verdict === 'intact') return [];
  return [
    {
      ...{ code: 'audit_chain', severity: 'critical', title: 'The audit log was altered' },
      cause: 'somebody who may alter the tables removed or changed entries, or a restore was incomplete',
      evidence: problems.map(({ message }) => message).join(' '),
      next: 'tds audit verify',
    },
  ];
};

/** Only where there is a role for the services: with a single role everything works as well. */
const role: Examination = async (db) => {
  const { rows } = await sql<{ role: string; services: string }>`
    select usename::text as role, string_agg(distinct split_part(application_name, ' ', 1), ', ') as services
    from pg_stat_activity
    where datname = current_database() and application_name ~ '^tds-core-(api|worker)' and usename <> ${APP_ROLE}
      and exists (select from pg_roles where rolname = ${APP_ROLE})
      and has_table_privilege(usesysid, 'tds_audit_log', 'update')
    group by usename order by usename`.execute(db);
  if (rows.length === 0) return [];
  return [
    {
      ...{ code: 'owner_role', severity: 'warning', title: 'Services connect as the owner of the tables' },
      cause: `their DATABASE_URL names the owner and not ${APP_ROLE}: whoever has it can rewrite the audit log`,
      evidence: rows.map((row) => `${row.services} as ${row.role}`).join('; '),
      next: `name ${APP_ROLE} in DATABASE_URL of /opt/tds_core/.env and restart, as DEPLOYMENT.md says (2. Database)`,
    },
  ];
};

export const audit: Examination[] = [chain, role];

import { sql } from 'kysely';
import type { Examination } from './finding.ts';

/** Secrets that have not been changed for SECRET_MAX_AGE_DAYS, as far as the starts of the API have noted. */
export const secrets: Examination = async function secrets(db, { secretMaxAgeDays }) {
  const old = await db
    .selectFrom('tds_secrets')
    .select(['name', sql<number>`extract(day from now() - since)::int`.as('days')])
    .where('since', '<', sql<Date>`now() - ${secretMaxAgeDays} * interval '1 day'`)
    .orderBy('since')
    .execute();
  if (old.length === 0) return [];
  return [
    {
      ...{ code: 'old_secrets', severity: 'info', title: 'Secrets are old' },
      cause: `they have had the same value for more than ${secretMaxAgeDays} days`,
      evidence: old.map(({ name, days }) => `${name}: ${days} days`).join('; '),
      next: 'change them one by one, as DEPLOYMENT.md says; two values of ZOHO_WEBHOOK_SECRET may be valid at once',
    },
  ];
};

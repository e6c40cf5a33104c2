import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { PullFacts } from './pull-rules.ts';

/** What the rules about reconciliations look at. A module that was never reconciled does not differ. */
export async function readPullFacts(db: Database): Promise<PullFacts> {
  const { rows } = await sql<PullFacts>`
    select (select coalesce(sum(cardinality(ids)), 0)::float8 from tds_withheld_deletions where ended_at is null)
        as "withheldDeletions",
      (select count(*)::float8 from (
          select distinct on (organization_id, module) verdict from tds_pull_verdicts
          order by organization_id, module, completed_at desc) latest
        where verdict = 'differs') as "differingModules"`.execute(db);
  return rows[0] ?? { withheldDeletions: null, differingModules: null };
}

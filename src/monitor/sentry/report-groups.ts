import { sql } from 'kysely';
import type { Pool } from 'pg';
import type { Database } from '../../db/database.ts';
import { exclusively } from '../../db/transaction.ts';
import type { Logger } from '../../log.ts';
import { type Group, groupEvent } from './event.ts';
import { type SentryConfig, sendToSentry } from './sentry.ts';

/** So many at once; the others come the next time. */
const AT_ONCE = 20;

/**
 * Tells Sentry of causes of failures that are new, or that have returned after somebody resolved them. One worker at a
 * time; at least once, under an id that Sentry knows again. What cannot be delivered is tried again the next time.
 */
export async function reportErrorGroups(db: Database, pool: Pool, log: Logger, config: SentryConfig): Promise<void> {
  await exclusively(pool, 'sentry', async () => {
    for (const group of await unreportedGroups(db)) {
      try {
        await sendToSentry(config, groupEvent(group));
      } catch (error) {
        log.warn({ component: 'sentry', reason: (error as Error).message }, 'Sentry did not take a report');
        return;
      }
      await sql`update tds_failure_groups set reported_at = clock_timestamp() where fingerprint = ${group.fingerprint}`.execute(
        db,
      );
    }
  });
}

/** Only what was seen within a day: Sentry may be set up long after the first failure, or be away for long. */
async function unreportedGroups(db: Database): Promise<Group[]> {
  const { rows } = await sql<Group>`
    select fingerprint, error_tag, message, place, handler, state, failures::float8 as failures, first_seen_at,
      last_seen_at, md5(fingerprint || coalesce(resolved_at::text, '')) as report_id,
      (select stack from tds_failures f where f.fingerprint = g.fingerprint order by created_at desc limit 1) as stack
    from tds_failure_groups g
    where state in ('open', 'reopened') and (reported_at is null or reported_at < resolved_at)
      and last_seen_at > now() - interval '1 day'
    order by last_seen_at desc limit ${AT_ONCE}`.execute(db);
  return rows;
}

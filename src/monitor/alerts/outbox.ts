/** What somebody must be told, written in the transaction of the change itself: see deliver.ts for what becomes of it. */
import type { Selectable } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Alerts, Labels, NoticeKind } from '../../db/schema.ts';
import type { Severity } from './rules.ts';

/** An incident as an outbox row keeps it. Texts of ours only: no names, amounts or error texts. */
export type AlertNotice = {
  change: 'firing' | 'resolved' | 'reminder';
  id: string;
  rule: string;
  title: string;
  severity: Severity;
  message: string;
  value: number | null;
  threshold: number | null;
  labels: Labels;
  /** RFC 3339. */
  since: string;
  flapping: boolean;
};

/** Dead letters or workflows of one error tag. Also written by triggers. */
export type LifecycleNotice = {
  type: 'dead_letter.opened' | 'workflow.failed';
  error_tag: string;
  count: number;
  event_types: string[];
  example_ids: string[];
};

export async function announce(
  db: Database,
  now: Date,
  change: AlertNotice['change'],
  incident: Selectable<Alerts>,
): Promise<void> {
  const { id, rule, title, severity, message, value, threshold, labels, fired_at, flapping } = incident;
  const notice: AlertNotice = {
    ...{ change, id, rule, title, severity, message, value, threshold, labels, flapping },
    since: fired_at.toISOString(),
  };
  await put(db, 'alert', notice, now);
}

/** One row of the outbox. `now` of a test; default: the database's clock. */
export async function put(db: Database, kind: NoticeKind, body: object, now?: Date): Promise<void> {
  await db
    .insertInto('tds_outbox')
    .values({ kind, body: JSON.stringify(body), ...(now ? { created_at: now } : {}) })
    .execute();
}

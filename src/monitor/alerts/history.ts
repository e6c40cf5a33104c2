import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Labels } from '../../db/schema.ts';
import { isBehind, type Position } from '../page.ts';
import { describeRule, RULES, type Severity } from './rules.ts';

export const ALERT_STATES = ['pending', 'firing', 'acknowledged', 'resolved'] as const;
export type AlertState = (typeof ALERT_STATES)[number];

export type AlertRow = {
  id: string;
  state: AlertState;
  rule: string;
  labels: Labels;
  title: string;
  severity: Severity;
  message: string;
  value: number | null;
  threshold: number | null;
  /** Since when its condition has held, of a pending one; else when it fired. */
  since: Date;
  last_seen_at: Date;
  acknowledged_at: Date | null;
  acknowledged_by: string | null;
  acknowledgement_note: string | null;
  resolved_at: Date | null;
  flapping: boolean;
  likely_cause: string;
  runbook_step: string;
  /** The heading's anchor in docs/runbook.md. */
  runbook: string;
};

type Found = Omit<AlertRow, 'likely_cause' | 'runbook_step' | 'runbook'> & { at: string };

const STATE = sql<AlertState>`case when resolved_at is not null then 'resolved'
  when acknowledged_at is not null then 'acknowledged' else 'firing' end`;

const CONDITIONS: Record<Exclude<AlertState, 'pending'>, RawBuilder<boolean>> = {
  firing: sql`resolved_at is null and acknowledged_at is null`,
  acknowledged: sql`resolved_at is null and acknowledged_at is not null`,
  resolved: sql`resolved_at is not null`,
};

/** Incidents, the latest first, and what waits to become one before them on the first page. */
export async function listAlerts(
  db: Database,
  { limit, after, state }: { limit: number; after?: Position | undefined; state?: AlertState | undefined },
): Promise<{ alerts: AlertRow[]; next: Position | undefined; total: number }> {
  const pending = after || (state && state !== 'pending') ? [] : await pendingAlerts(db, limit);
  if (state === 'pending') return { alerts: pending, next: undefined, total: pending.length };
  const only = state ? CONDITIONS[state] : sql`true`;
  const behind = after ? isBehind(after, 'fired_at', 'id') : sql`true`;
  const { rows } = await sql<Found>`
    select id, ${STATE} as state, rule, labels, title, severity, message, value, threshold, fired_at as since,
      last_seen_at, acknowledged_at, acknowledged_by, acknowledgement_note, resolved_at, flapping, fired_at::text as at
    from tds_alerts where ${only} and ${behind}
    order by fired_at desc, id desc limit ${limit + 1}`.execute(db);
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const total = await sql<{ total: number }>`
    select count(*)::int as total from tds_alerts where ${only}`.execute(db);
  return {
    alerts: [...pending, ...shown.map(({ at: _at, ...row }) => explained(row))],
    next: last && rows.length > limit ? { at: last.at, id: last.id } : undefined,
    total: total.rows[0]?.total ?? 0,
  };
}

/** Rules whose condition holds but not yet for long enough, as long as no incident of their condition stands. */
async function pendingAlerts(db: Database, limit: number): Promise<AlertRow[]> {
  const [pending, open] = await Promise.all([
    db.selectFrom('tds_alert_pending').selectAll().orderBy('since', 'desc').limit(limit).execute(),
    db.selectFrom('tds_alerts').select(['rule', 'labels']).where('resolved_at', 'is', null).execute(),
  ]);
  return pending.flatMap(({ id, rule: name, labels, since, value }) => {
    const rule = RULES.find((one) => one.rule === name);
    if (!rule || open.some((one) => one.rule === name)) return [];
    const { title, severity, threshold } = rule;
    return explained({
      ...{ id, state: 'pending', rule: name, labels, title, severity, threshold, value, since },
      ...{ message: rule.message(value, labels), last_seen_at: since, flapping: false, resolved_at: null },
      ...{ acknowledged_at: null, acknowledged_by: null, acknowledgement_note: null },
    });
  });
}

function explained(row: Omit<Found, 'at'>): AlertRow {
  const { cause, step } = describeRule(row.rule);
  return { ...row, likely_cause: cause, runbook_step: step, runbook: `docs/runbook.md#${row.rule}` };
}

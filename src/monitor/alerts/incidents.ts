/** The verbs of tds_alerts: an incident fires, goes on, clears, resolves. Each tells the outbox what somebody must know. */
import { type Selectable, sql, type Transaction } from 'kysely';
import type { Alerts, Labels, Schema } from '../../db/schema.ts';
import { FLAP_WINDOW_MS, INCIDENTS_BEFORE_FLAPPING, type Standing } from './judge.ts';
import { announce } from './outbox.ts';
import { isSeverer, type Rule, type Severity } from './rules.ts';

export type Incident = Selectable<Alerts> & Standing;

export type AlertChange = { change: 'fired' | 'resolved'; rule: string; severity: Severity; message: string };

/** What fires, locked: an acknowledgement comes before or after the evaluation, never in between. */
export async function openIncidents(trx: Transaction<Schema>): Promise<Incident[]> {
  const rows = await trx.selectFrom('tds_alerts').selectAll().where('resolved_at', 'is', null).forUpdate().execute();
  return rows.map((row) => ({ ...row, clearSince: row.clear_since }));
}

export async function refresh(
  trx: Transaction<Schema>,
  { id, labels }: Incident,
  rule: Rule,
  value: number,
  now: Date,
): Promise<void> {
  await trx
    .updateTable('tds_alerts')
    .set({ message: rule.message(value, labels), value, last_seen_at: now, clear_since: null })
    .where('id', '=', id)
    .execute();
}

/** A flapping incident's condition is clear: it stays until it has been calm for long enough. */
export async function stayClear(trx: Transaction<Schema>, { id }: Incident, since: Date): Promise<void> {
  await trx.updateTable('tds_alerts').set({ clear_since: since }).where('id', '=', id).execute();
}

export async function resolve(trx: Transaction<Schema>, incident: Incident, now: Date): Promise<AlertChange> {
  await end(trx, incident, now, false);
  await announce(trx, now, 'resolved', { ...incident, resolved_at: now });
  return resolved(incident);
}

async function end(trx: Transaction<Schema>, { id }: Incident, now: Date, superseded: boolean): Promise<void> {
  await trx.updateTable('tds_alerts').set({ resolved_at: now, superseded }).where('id', '=', id).execute();
}

function resolved({ rule, severity, message }: Incident): AlertChange {
  return { change: 'resolved', rule, severity, message };
}

type Firing = {
  /** Of the condition. */
  rules: Rule[];
  rule: Rule;
  labels: Labels;
  value: number;
  now: Date;
  /** The incident of another severity whose place it takes. */
  standing: Incident | undefined;
};

/** An acknowledgement outlives a fall to a lower severity; a rise is news and breaks the silence. */
export async function fire(trx: Transaction<Schema>, firing: Firing): Promise<AlertChange[]> {
  const { rule, labels, value, now, standing } = firing;
  if (standing) await end(trx, standing, now, true);
  const { rule: name, title, severity, threshold } = rule;
  const message = rule.message(value, labels);
  const silence = standing && isSeverer(standing.severity, severity) ? standing : undefined;
  const isSilent = silence?.acknowledged_at != null;
  const incident = await trx
    .insertInto('tds_alerts')
    .values({
      ...{ rule: name, title, severity, threshold, message, value, labels: JSON.stringify(labels) },
      ...{ fired_at: now, last_seen_at: now, notified_at: now },
      flapping: await isFlapping(trx, firing),
      acknowledged_at: silence?.acknowledged_at ?? null,
      acknowledged_by: silence?.acknowledged_by ?? null,
      acknowledgement_note: silence?.acknowledgement_note ?? null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  if (!isSilent) await announce(trx, now, 'firing', incident);
  const fired: AlertChange = { change: 'fired', rule: name, severity, message };
  return standing ? [resolved(standing), fired] : [fired];
}

/** A change of severity carries the state on; otherwise the incidents of the last hour are counted. */
async function isFlapping(trx: Transaction<Schema>, { rules, labels, now, standing }: Firing): Promise<boolean> {
  if (standing) return standing.flapping;
  const names = rules.map(({ rule }) => rule);
  const { rows } = await sql<{ incidents: number }>`
    select count(*)::int as incidents from tds_alerts
    where rule = any (${names}) and labels = ${JSON.stringify(labels)}::jsonb and resolved_at is not null
      and not superseded and fired_at > ${new Date(now.getTime() - FLAP_WINDOW_MS)}`.execute(trx);
  return (rows[0]?.incidents ?? 0) >= INCIDENTS_BEFORE_FLAPPING;
}

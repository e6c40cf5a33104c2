import { type Selectable, sql, type Transaction } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Alerts, Schema } from '../../db/schema.ts';
import { type FactsOptions, readFacts } from './facts.ts';
import { evaluate, type Facts, isSeverer, type Rule, type Severity, type Verdict } from './rules.ts';

type Alert = Selectable<Alerts>;

export type AlertChange = { change: 'fired' | 'resolved'; rule: string; severity: Severity; message: string };

/**
 * Looks at the facts and brings tds_alerts in line: fires, refreshes, resolves. Answers what changed; nothing when
 * another process is evaluating at this moment (one evaluator in the fleet, by advisory lock).
 */
export async function evaluateAlerts(db: Database, options: FactsOptions): Promise<AlertChange[]> {
  return db.transaction().execute(async (trx) => {
    if (!(await becomeEvaluator(trx))) return [];
    return bringInLine(trx, await readFacts(trx, options));
  });
}

/** Fires, refreshes and resolves what `facts` say. For one evaluator at a time: see `evaluateAlerts`. */
export async function bringInLine(trx: Transaction<Schema>, facts: Facts): Promise<AlertChange[]> {
  const open = await trx.selectFrom('tds_alerts').selectAll().where('resolved_at', 'is', null).execute();
  const changes: AlertChange[] = [];
  for (const verdict of evaluate(facts)) changes.push(...(await apply(trx, verdict, open)));
  return changes;
}

async function becomeEvaluator(trx: Transaction<Schema>): Promise<boolean> {
  const { rows } = await sql<{ mine: boolean }>`
    select pg_try_advisory_xact_lock(hashtext('tds_alerts')) as mine`.execute(trx);
  return rows[0]?.mine === true;
}

/** One condition has at most one open alert; a change of severity replaces it. */
async function apply(trx: Transaction<Schema>, { rules, firing }: Verdict, open: Alert[]): Promise<AlertChange[]> {
  const previous = open.find((alert) => rules.includes(alert.rule));
  if (firing && previous?.rule === firing.rule.rule) {
    await refresh(trx, previous, firing.rule.message(firing.value), firing.value);
    return [];
  }
  const changes: AlertChange[] = [];
  if (previous) changes.push(await resolve(trx, previous));
  if (firing) changes.push(await fire(trx, firing.rule, firing.value, previous));
  return changes;
}

async function refresh(trx: Transaction<Schema>, { id }: Alert, message: string, value: number): Promise<void> {
  await trx
    .updateTable('tds_alerts')
    .set({ message, value, last_seen_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute();
}

async function resolve(trx: Transaction<Schema>, { id, rule, severity, message }: Alert): Promise<AlertChange> {
  await trx.updateTable('tds_alerts').set({ resolved_at: sql<Date>`now()` }).where('id', '=', id).execute();
  return { change: 'resolved', rule, severity, message };
}

/** An acknowledgement outlives a fall to a lower severity; a rise is news and breaks the silence. */
async function fire(trx: Transaction<Schema>, rule: Rule, value: number, previous?: Alert): Promise<AlertChange> {
  const { rule: name, title, severity, threshold } = rule;
  const message = rule.message(value);
  const silence = previous && isSeverer(previous.severity, severity) ? previous : undefined;
  await trx
    .insertInto('tds_alerts')
    .values({
      ...{ rule: name, title, severity, threshold, message, value },
      acknowledged_at: silence?.acknowledged_at ?? null,
      acknowledged_by: silence?.acknowledged_by ?? null,
    })
    .execute();
  return { change: 'fired', rule: name, severity, message };
}

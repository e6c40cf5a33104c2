import { sql, type Transaction } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Labels, Schema } from '../../db/schema.ts';
import { type FactsOptions, readFacts, readServiceFacts } from './facts.ts';
import { type AlertChange, fire, type Incident, openIncidents, refresh, resolve, stayClear } from './incidents.ts';
import { type Judgement, judge } from './judge.ts';
import { remind } from './remind.ts';
import { type Facts, labelsKey, type Rule, rulesByCondition, type Thresholds } from './rules.ts';

export type { AlertChange } from './incidents.ts';

export type EvaluateOptions = FactsOptions & {
  /** ALERT_THRESHOLDS. */
  alertThresholds?: Thresholds;
  /** Only the conditions that the API judges also while workers live. */
  onlyJudgedByApi?: boolean;
};

type Judging = Pick<EvaluateOptions, 'now' | 'alertThresholds' | 'onlyJudgedByApi'>;

/**
 * Looks at the facts and brings tds_alerts in line: fires, refreshes, resolves, reminds; what somebody must be told is
 * in the outbox when it commits. Answers what changed; undefined when another process is evaluating at this moment (one
 * evaluator in the fleet, by advisory lock).
 */
export async function evaluateAlerts(db: Database, options: EvaluateOptions): Promise<AlertChange[] | undefined> {
  return db.transaction().execute(async (trx) => {
    if (!(await becomeEvaluator(trx))) return undefined;
    const read = options.onlyJudgedByApi ? readServiceFacts : readFacts;
    return bringInLine(trx, await read(trx, options), options);
  });
}

/** Fires, refreshes and resolves what `facts` say. For one evaluator at a time: see `evaluateAlerts`. */
export async function bringInLine(
  trx: Transaction<Schema>,
  facts: Facts,
  { now: given, alertThresholds, onlyJudgedByApi = false }: Judging = {},
): Promise<AlertChange[]> {
  const now = given ?? (await databaseNow(trx));
  const state = { trx, now, open: await openIncidents(trx), pending: await pendingRules(trx) };
  const isPaused = (facts.paused ?? 0) > 0;
  const changes: AlertChange[] = [];
  for (const [condition, rules] of rulesByCondition(alertThresholds)) {
    if (isPaused && rules[0]?.quietWhilePaused) continue;
    if (onlyJudgedByApi && !rules[0]?.judgedByApi) continue;
    for (const [labels, value] of seriesOf(facts[condition], rules, state))
      changes.push(...(await bringOneInLine(state, rules, labels, value)));
  }
  await remind(trx, now, isPaused);
  return changes;
}

async function becomeEvaluator(trx: Transaction<Schema>): Promise<boolean> {
  const { rows } = await sql<{ mine: boolean }>`
    select pg_try_advisory_xact_lock(hashtext('tds_alerts')) as mine`.execute(trx);
  return rows[0]?.mine === true;
}

async function databaseNow(trx: Transaction<Schema>): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select now() as now`.execute(trx);
  return rows[0]?.now ?? new Date();
}

type Pending = { rule: string; labels: Labels; since: Date };
type State = { trx: Transaction<Schema>; now: Date; open: Incident[]; pending: Pending[] };

function pendingRules(trx: Transaction<Schema>): Promise<Pending[]> {
  return trx.selectFrom('tds_alert_pending').select(['rule', 'labels', 'since']).execute();
}

/** Every set of labels that has a value, or an incident, or waits to become one; nothing for an unknown fact. */
function seriesOf(fact: Facts[keyof Facts], rules: Rule[], { open, pending }: State): [Labels, number][] {
  if (fact === null) return [];
  if (typeof fact === 'number') return [[{}, fact]];
  const names = rules.map(({ rule }) => rule);
  const known = [...open, ...pending].filter(({ rule }) => names.includes(rule)).map(({ labels }) => labels);
  const series = new Map(known.map((labels) => [labelsKey(labels), [labels, 0] as [Labels, number]]));
  for (const { labels, value } of fact) series.set(labelsKey(labels), [labels, value]);
  return [...series.values()];
}

async function bringOneInLine(state: State, rules: Rule[], labels: Labels, value: number): Promise<AlertChange[]> {
  const { trx, now } = state;
  const key = labelsKey(labels);
  const isOurs = (one: { rule: string; labels: Labels }) =>
    labelsKey(one.labels) === key && rules.some(({ rule }) => rule === one.rule);
  const standing = state.open.find(isOurs);
  const pending = state.pending.filter(isOurs);
  const since = new Map(pending.map((one) => [one.rule, one.since]));
  const judgement = judge(rules, value, standing, since, now);
  await keepPending(trx, rules, labels, value, judgement, since);
  return apply(state, rules, labels, value, judgement, standing);
}

async function apply(
  { trx, now }: State,
  rules: Rule[],
  labels: Labels,
  value: number,
  { firing, clearSince, ends }: Judgement,
  standing: Incident | undefined,
): Promise<AlertChange[]> {
  if (standing && !firing) {
    if (ends) return [await resolve(trx, standing, now)];
    await stayClear(trx, standing, clearSince ?? now);
    return [];
  }
  if (!firing) return [];
  if (standing?.rule === firing.rule) {
    await refresh(trx, standing, firing, value, now);
    return [];
  }
  return fire(trx, { rules, rule: firing, labels, value, now, standing });
}

/** Brings tds_alert_pending in line: what holds stands there with the time since when, everything else is gone. */
async function keepPending(
  trx: Transaction<Schema>,
  rules: Rule[],
  labels: Labels,
  value: number,
  { holding }: Judgement,
  since: ReadonlyMap<string, Date>,
): Promise<void> {
  const ofLabels = JSON.stringify(labels);
  const over = [...since.keys()].filter((rule) => !holding.has(rule));
  if (over.length > 0)
    await trx
      .deleteFrom('tds_alert_pending')
      .where('rule', 'in', over)
      .where('labels', '=', sql<Labels>`${ofLabels}::jsonb`)
      .execute();
  for (const { rule } of rules) {
    const held = holding.get(rule);
    if (!held) continue;
    await trx
      .insertInto('tds_alert_pending')
      .values({ rule, labels: ofLabels, since: held, value })
      .onConflict((oc) => oc.columns(['rule', 'labels']).doUpdateSet({ since: held, value }))
      .execute();
  }
}

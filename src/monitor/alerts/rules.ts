/** The one table of rules. A new rule is one entry in a file of rules/, one fact, and one section of docs/runbook.md. */
import type { Labels } from '../../db/schema.ts';
import type { Facts, Rule } from './rule.ts';
import { COMPLETENESS_RULES } from './rules/completeness.ts';
import { DELIVERY_RULES } from './rules/deliveries.ts';
import { FAILURE_RULES } from './rules/failures.ts';
import { METRICS_RULES } from './rules/metrics.ts';
import { QUEUE_RULES } from './rules/queue.ts';
import { SERVICE_RULES } from './rules/services.ts';
import { WORKFLOW_RULES } from './rules/workflows.ts';
import { ZOHO_RULES } from './rules/zoho.ts';

export { type Facts, isSeverer, type Labelled, type Rule, type Severity } from './rule.ts';

/** Within a condition the severest stands first. Those of the operations guide lead: they do so in every list, too. */
export const RULES: readonly Rule[] = [
  ...QUEUE_RULES,
  ...FAILURE_RULES,
  ...SERVICE_RULES,
  ...ZOHO_RULES,
  ...DELIVERY_RULES,
  ...WORKFLOW_RULES,
  ...COMPLETENESS_RULES,
  ...METRICS_RULES,
];

/** The one that is judged without the database, by the process that misses it; see database-watch.ts. */
export const DATABASE_AWAY = {
  rule: 'database_away',
  title: 'Database Away',
  severity: 'critical',
  threshold: 15,
  message: (seconds: number) =>
    `PostgreSQL has not answered for ${Math.round(seconds)} s: webhooks are refused and nothing is processed. Start PostgreSQL, or free connections.`,
  cause: 'PostgreSQL is stopped, hangs, or has no connection left; or the network to it is down.',
  look: '/readyz?verbose',
  step: 'Look at `systemctl status postgresql` and at the reason in the log of tds-core-api.',
} as const;

/** Thresholds that an installation has set (ALERT_THRESHOLDS), by rule. */
export type Thresholds = Readonly<Record<string, number>>;

/** The rules of each condition, with the thresholds of this installation. */
export function rulesByCondition(thresholds: Thresholds = {}): [condition: keyof Facts, rules: Rule[]][] {
  const conditions = [...new Set(RULES.map((rule) => rule.condition))];
  return conditions.map((condition) => [
    condition,
    RULES.filter((rule) => rule.condition === condition).map((rule) => overridden(rule, thresholds[rule.rule])),
  ]);
}

/** The band between firing and clearing keeps its share of the threshold. */
function overridden(rule: Rule, threshold: number | undefined): Rule {
  if (threshold === undefined) return rule;
  const share = rule.threshold === 0 ? 1 : (rule.clearsAt ?? rule.threshold) / rule.threshold;
  return { ...rule, threshold, clearsAt: threshold * share };
}

/** What may be said of any rule by its name, also of one that a newer release has written. */
export function describeRule(name: string): Pick<Rule, 'cause' | 'look' | 'step'> {
  const known = [...RULES, DATABASE_AWAY].find(({ rule }) => rule === name);
  return known ?? { cause: 'Unknown to this release.', look: '/dashboard/alerts', step: 'Look at the list of alerts.' };
}

/** A text that two sets of labels share exactly when they are equal. */
export function labelsKey(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

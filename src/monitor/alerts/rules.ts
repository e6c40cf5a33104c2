import { PULL_RULES, type PullFacts } from './pull-rules.ts';
import { WORKFLOW_RULES, type WorkflowFacts } from './workflow-rules.ts';

/** What the rules look at. `null` means unknown: no data never fires an alert and never resolves one. */
export type Facts = WorkflowFacts &
  PullFacts & {
    /** Seconds since the last sign of life of any worker; 0 while one is alive. */
    secondsWithoutWorker: number | null;
    /** Events in `pending`. */
    pending: number | null;
    /** Open dead letters. */
    deadLetters: number | null;
    /** Events in `processing` for more than an hour, or which no worker holds. */
    stuck: number | null;
    /** Share of the last hour's events whose first attempt failed, in percent; null when there are too few to say. */
    failurePercent: number | null;
    /** Events that wait or run and were given back uncharged five times in a row or more. */
    givenBack: number | null;
    /** Webhook deliveries rejected since the last accepted one; null while none has ever been accepted. */
    rejectedSinceAccepted: number | null;
    /** Fields that appeared, vanished or became unreadable in the last 24 hours. */
    driftingFields: number | null;
  };

export type Severity = 'critical' | 'warning' | 'info';

export type Rule = {
  /** What tds_alerts.rule says; never renamed. */
  rule: string;
  /** Rules of one condition measure the same fact: the first one that fires speaks for all. */
  condition: keyof Facts;
  title: string;
  severity: Severity;
  /** Fires above this, not at it. */
  threshold: number;
  message: (value: number) => string;
};

/** Within a condition the severest stands first. Those of the operations guide, and what it lacks. */
export const RULES: readonly Rule[] = [
  {
    rule: 'no_worker',
    condition: 'secondsWithoutWorker',
    title: 'No Worker',
    severity: 'critical',
    threshold: 30,
    message: (s) => `No worker has been alive for ${duration(s)}: nothing is processed. Restart tds-core-worker.`,
  },
  {
    rule: 'queue_backlog_critical',
    condition: 'pending',
    title: 'Queue Backlog Critical',
    severity: 'critical',
    threshold: 1000,
    message: (n) => `${n} events are pending. Check that a worker runs, then raise WORKER_CONCURRENCY.`,
  },
  {
    rule: 'queue_backlog_warning',
    condition: 'pending',
    title: 'Queue Backlog Warning',
    severity: 'warning',
    threshold: 500,
    message: (n) => `${n} events are pending. Watch whether the number falls; if not, raise WORKER_CONCURRENCY.`,
  },
  {
    rule: 'dead_letters_critical',
    condition: 'deadLetters',
    title: 'High Dead Letter Queue',
    severity: 'critical',
    threshold: 100,
    message: (n) => `${n} dead letters are open. Find their common cause, fix it, then retry them.`,
  },
  {
    rule: 'dead_letters_warning',
    condition: 'deadLetters',
    title: 'Elevated Dead Letter Queue',
    severity: 'warning',
    threshold: 50,
    message: (n) => `${n} dead letters are open. Review what their errors have in common.`,
  },
  {
    rule: 'stuck_events',
    condition: 'stuck',
    title: 'Stuck Events Detected',
    severity: 'warning',
    threshold: 0,
    message: (n) => `${events(n)} been processing for over an hour, or no worker holds them. Check the workers.`,
  },
  {
    rule: 'failure_rate_critical',
    condition: 'failurePercent',
    title: 'High Failure Rate',
    severity: 'critical',
    threshold: 10,
    message: (percent) =>
      `${round(percent)} % of the last hour's events failed at first. Look at the latest dead letters.`,
  },
  {
    rule: 'failure_rate_warning',
    condition: 'failurePercent',
    title: 'Elevated Failure Rate',
    severity: 'warning',
    threshold: 5,
    message: (percent) =>
      `${round(percent)} % of the last hour's events failed at first. Watch the worker's error log.`,
  },
  {
    rule: 'events_given_back',
    condition: 'givenBack',
    title: 'Events Given Back Again And Again',
    severity: 'warning',
    threshold: 0,
    message: (n) =>
      `${events(n)} been given back five times in a row or more without an attempt being charged. ` +
      "Look for a rate limit or an outage in the worker's log; each further time costs an attempt.",
  },
  {
    rule: 'webhooks_rejected',
    condition: 'rejectedSinceAccepted',
    title: 'Webhooks Rejected',
    severity: 'warning',
    threshold: 0,
    message: (n) =>
      `${n} webhook deliveries have been rejected since the last accepted one. dashboard/webhooks/rejected says why.`,
  },
  {
    rule: 'field_drift',
    condition: 'driftingFields',
    title: 'Fields Have Changed',
    severity: 'info',
    threshold: 0,
    message: (n) =>
      `${n} field${n === 1 ? ' has' : 's have'} appeared, vanished or become unreadable. dashboard/field-drift lists them.`,
  },
  ...WORKFLOW_RULES,
  ...PULL_RULES,
];

export type Verdict = {
  condition: keyof Facts;
  /** The rules of this condition, all severities. */
  rules: string[];
  /** The one that fires; null when the condition is clear. */
  firing: { rule: Rule; value: number } | null;
};

/**
 * One verdict per condition with data. Where warning and critical both hold, only the critical fires: one condition,
 * one alert. Conditions without data are left out, so that whoever applies the verdicts cannot touch their alerts.
 */
export function evaluate(facts: Facts): Verdict[] {
  const conditions = [...new Set(RULES.map((rule) => rule.condition))];
  return conditions.flatMap((condition) => {
    const value = facts[condition];
    if (value === null) return [];
    const rules = RULES.filter((rule) => rule.condition === condition);
    const rule = rules.find(({ threshold }) => value > threshold);
    return [{ condition, rules: rules.map((each) => each.rule), firing: rule ? { rule, value } : null }];
  });
}

const RANK: Record<Severity, number> = { info: 0, warning: 1, critical: 2 };

/** True when `a` is more severe than `b`. */
export function isSeverer(a: Severity, b: Severity): boolean {
  return RANK[a] > RANK[b];
}

function events(n: number): string {
  return n === 1 ? '1 event has' : `${n} events have`;
}

function duration(seconds: number): string {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

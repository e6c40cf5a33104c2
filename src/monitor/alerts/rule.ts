/** What a rule is and what it looks at. A leaf: rules, evaluation, settings and documents all build on it. */
import type { Labels } from '../../db/schema.ts';

/** A number of the whole system; null means unknown: no data never fires an alert and never resolves one. */
type Fact = number | null;

/** The same per label. The list is complete: what it does not name is 0. */
export type Labelled = { labels: Labels; value: number }[];

export type Facts = {
  /** Seconds since the last sign of life of any worker; 0 while one is alive. */
  secondsWithoutWorker: Fact;
  /** Seconds since the last heartbeat of the worker, among those that have not ended, that has been silent for longest. */
  oldestHeartbeat: Fact;
  /** Living workers of another release than the API's; known to the API only. */
  otherRelease: Fact;
  /** Events in `pending`. */
  pending: Fact;
  /** The same number, for the rule that gives it an hour. */
  lastingBacklog: Fact;
  /** Seconds that the oldest event in `pending` has waited. */
  oldestPending: Fact;
  /** Seconds since an attempt last ended while events are in hand; 0 while none is. */
  standstill: Fact;
  /** Open dead letters. */
  deadLetters: Fact;
  /** Events in `processing` for more than an hour, or which no worker holds. */
  stuck: Fact;
  /** Share of the last hour's events whose first attempt failed, in percent; null when there are too few to say. */
  failurePercent: Fact;
  /** Share of the last hour's attempts that failed, in percent; null when there are too few to say. */
  failedAttemptsPercent: Fact;
  /** The same of the last five minutes. */
  recentFailurePercent: Fact;
  /** Attempts of the last minute that failed. */
  failedPerMinute: Fact;
  /** Seconds within which 95 of 100 attempts of the last five minutes ended; null when there are too few to say. */
  latencyP95: Fact;
  /** Events that wait or run and were given back uncharged five times in a row or more. */
  givenBack: Fact;
  /** Open dead letters that no retry cures, by error tag. */
  rejected: Labelled | null;
  /** Open dead letters for which the other side is to blame, by error tag. */
  otherSide: Labelled | null;
  /** Open dead letters that are deliveries which could not be understood. */
  quarantined: Fact;
  /** Share of the last five minutes' calls of Zoho that got no usable answer, in percent. */
  zohoFailurePercent: Fact;
  /** Calls of Zoho that failed in a row, of the organization that fares worst. */
  zohoFailuresInARow: Fact;
  /** How often in the last day failures in a row opened the circuit to Zoho. */
  circuitTrips: Fact;
  /** Seconds since processing was paused; 0 while it is not. */
  paused: Fact;
  /** Webhook deliveries rejected since the last accepted one; null while none has ever been accepted. */
  rejectedSinceAccepted: Fact;
  /** Fields that appeared, vanished or became unreadable in the last 24 hours. */
  driftingFields: Fact;
  /** Workflows that should be getting on and have finished no activity for a long time. */
  workflowsWithoutProgress: Fact;
  /** Failed workflows that nobody has dealt with and no retry cures, by error tag. */
  failedForGood: Labelled | null;
  /** Failed workflows that nobody has dealt with and that another attempt may cure, by error tag. */
  failedForNow: Labelled | null;
  /** Deletions that wait for an operator's approval. */
  withheldDeletions: Fact;
  /** Modules whose last reconciliation did not end in agreement. */
  differingModules: Fact;
  /** Changes of the last 24 hours that no webhook announced, by organization and module. */
  holes: Labelled | null;
  /** 1 for each module of which no webhook comes any more. */
  silentModules: Labelled | null;
  /** 1 for each module whose rules in Zoho do not announce all changes, as of the last check. */
  unannouncedModules: Labelled | null;
  /** Webhooks of the last 24 hours as a share of the plan's daily limit, in percent, by organization. */
  webhookLimitPercent: Labelled | null;
  /** Hourly roll-ups that differed from the tables when they were last compared; null before the first time. */
  metricsDrift: Fact;
};

export type Severity = 'critical' | 'warning' | 'info';

export type Rule = {
  /** What tds_alerts.rule says, and the heading's anchor in docs/runbook.md; never renamed. */
  rule: string;
  /** Rules of one condition measure the same fact: the severest that fires speaks for all. */
  condition: keyof Facts;
  title: string;
  severity: Severity;
  /** Fires above this, not at it. ALERT_THRESHOLDS overrides it. */
  threshold: number;
  /** Once firing, it clears at this or below (hysteresis); default: the threshold. */
  clearsAt?: number;
  /** Fires only once the condition has held for so long; default 0. */
  forSeconds?: number;
  /** A pause explains it: while processing is paused it neither fires nor resolves nor reminds. */
  quietWhilePaused?: true;
  /** Judged by the API also while workers live: what a worker cannot say of itself. */
  judgedByApi?: true;
  /** A sentence that says what is wrong, then one that says what to do. */
  message: (value: number, labels: Labels) => string;
  /** Why it usually happens. */
  cause: string;
  /** What to ask the API first, a path; the message makes a `curl` of it. */
  look: string;
  /** The first step of its section in docs/runbook.md. */
  step: string;
};

const RANK: Record<Severity, number> = { info: 0, warning: 1, critical: 2 };

/** True when `a` is more severe than `b`. */
export function isSeverer(a: Severity, b: Severity): boolean {
  return RANK[a] > RANK[b];
}

/** '1 event has', '2 events have'. */
export function events(n: number): string {
  return n === 1 ? '1 event has' : `${n} events have`;
}

/** '1 dead letter is', '2 dead letters are'. */
export function letters(n: number): string {
  return n === 1 ? '1 dead letter is' : `${n} dead letters are`;
}

/** '90 s', '12 min', '5 h'. */
export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** One digit behind the point. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Facts when all is well, and what rules make of facts. */
import { judge } from '../../src/monitor/alerts/judge.ts';
import { type Facts, type Rule, rulesByCondition, type Thresholds } from '../../src/monitor/alerts/rules.ts';

export const CALM: Facts = {
  secondsWithoutWorker: 0,
  oldestHeartbeat: 0,
  otherRelease: 0,
  pending: 0,
  lastingBacklog: 0,
  oldestPending: 0,
  standstill: 0,
  deadLetters: 0,
  stuck: 0,
  failurePercent: 0,
  failedAttemptsPercent: 0,
  recentFailurePercent: 0,
  failedPerMinute: 0,
  latencyP95: 0,
  givenBack: 0,
  rejected: [],
  otherSide: [],
  quarantined: 0,
  zohoFailurePercent: 0,
  zohoFailuresInARow: 0,
  circuitTrips: 0,
  paused: 0,
  rejectedSinceAccepted: 0,
  driftingFields: 0,
  metricsDrift: 0,
  workflowsWithoutProgress: 0,
  failedForGood: [],
  failedForNow: [],
  withheldDeletions: 0,
  differingModules: 0,
  holes: [],
  silentModules: [],
  unannouncedModules: [],
  webhookLimitPercent: [],
};

/** The rules that fire once their conditions have held for as long as they ask. */
export function firingRules(facts: Facts, thresholds?: Thresholds): Rule[] {
  return rulesByCondition(thresholds).flatMap(([condition, rules]) => {
    const fact = facts[condition];
    const values = fact === null ? [] : typeof fact === 'number' ? [fact] : fact.map(({ value }) => value);
    const long = new Map(rules.map(({ rule }) => [rule, new Date(0)]));
    return values.flatMap((value) => judge(rules, value, undefined, long, new Date()).firing ?? []);
  });
}

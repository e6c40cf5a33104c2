import t from 'tap';
import type { Facts } from '../../src/monitor/alerts/rules.ts';
import { RULES } from '../../src/monitor/alerts/rules.ts';
import { CALM, firingRules } from './calm.ts';

const tagged = (value: number) => [{ labels: { error_tag: 'ConflictError' }, value }];
const ofItems = (value: number) => [{ labels: { organization_id: '10', module: 'item' }, value }];

/** The tables of the operations guide and of the other guides, at and just above each threshold. */
const CASES: [fact: Partial<Facts>, title: string | null, severity?: string][] = [
  [{ pending: 500 }, null],
  [{ pending: 501 }, 'Queue Backlog Warning', 'warning'],
  [{ pending: 1000 }, 'Queue Backlog Warning', 'warning'],
  [{ pending: 1001 }, 'Queue Backlog Critical', 'critical'],
  [{ lastingBacklog: 1000 }, null],
  [{ lastingBacklog: 1001 }, 'Queue Backlog For An Hour', 'critical'],
  [{ deadLetters: 50 }, null],
  [{ deadLetters: 51 }, 'Elevated Dead Letter Queue', 'warning'],
  [{ deadLetters: 100 }, 'Elevated Dead Letter Queue', 'warning'],
  [{ deadLetters: 101 }, 'High Dead Letter Queue', 'critical'],
  [{ stuck: 1 }, 'Stuck Events Detected', 'warning'],
  [{ standstill: 300 }, null],
  [{ standstill: 301 }, 'Processing At A Standstill', 'warning'],
  [{ oldestPending: 600 }, null],
  [{ oldestPending: 601 }, 'Processing Delayed', 'warning'],
  [{ secondsWithoutWorker: 30 }, null],
  [{ secondsWithoutWorker: 31 }, 'No Worker', 'critical'],
  [{ oldestHeartbeat: 60 }, null],
  [{ oldestHeartbeat: 61 }, 'Worker Silent', 'warning'],
  [{ otherRelease: 1 }, 'Worker Of Another Release', 'info'],
  [{ paused: 1 }, 'Processing Paused', 'warning'],
  [{ givenBack: 1 }, 'Events Given Back Again And Again', 'warning'],
  [{ quarantined: 1 }, 'Deliveries In Quarantine', 'info'],
  [{ rejected: tagged(1) }, 'Events Rejected', 'info'],
  [{ otherSide: tagged(1) }, 'Another System Failed', 'info'],
  [{ failurePercent: 5 }, null],
  [{ failurePercent: 5.1 }, 'Elevated Failure Rate', 'warning'],
  [{ failurePercent: 10 }, 'Elevated Failure Rate', 'warning'],
  [{ failurePercent: 10.1 }, 'High Failure Rate', 'critical'],
  [{ failedAttemptsPercent: 10 }, null],
  [{ failedAttemptsPercent: 10.1 }, 'Low Success Rate', 'critical'],
  [{ recentFailurePercent: 1 }, null],
  [{ recentFailurePercent: 1.1 }, 'Elevated Error Rate', 'warning'],
  [{ recentFailurePercent: 5.1 }, 'High Error Rate', 'critical'],
  [{ failedPerMinute: 10 }, null],
  [{ failedPerMinute: 11 }, 'Many Failed Attempts', 'critical'],
  [{ latencyP95: 5 }, null],
  [{ latencyP95: 5.1 }, 'High Latency', 'warning'],
  [{ zohoFailurePercent: 10.1 }, 'Zoho Books API Failing', 'critical'],
  [{ zohoFailuresInARow: 3 }, 'Zoho Books API Not Answering', 'warning'],
  [{ circuitTrips: 50 }, null],
  [{ circuitTrips: 51 }, 'Circuit Tripped Often', 'warning'],
  [{ rejectedSinceAccepted: 1 }, 'Webhooks Rejected', 'warning'],
  [{ driftingFields: 1 }, 'Fields Have Changed', 'info'],
  [{ metricsDrift: 1 }, 'Roll-ups Differ', 'warning'],
  [{ workflowsWithoutProgress: 1 }, 'Workflow Without Progress', 'warning'],
  [{ failedForGood: tagged(1) }, 'Workflow Failed For Good', 'critical'],
  [{ failedForNow: tagged(1) }, 'Workflow Failed', 'warning'],
  [{ withheldDeletions: 1 }, 'Deletions Withheld', 'critical'],
  [{ differingModules: 1 }, 'Mirror Differs From Zoho', 'warning'],
  [{ silentModules: ofItems(1) }, 'Module Silent', 'warning'],
  [{ holes: ofItems(1) }, 'Holes Found', 'warning'],
  [{ webhookLimitPercent: ofItems(90) }, null],
  [{ webhookLimitPercent: ofItems(90.1) }, 'Daily Limit Of Webhooks Near', 'warning'],
  [{ unannouncedModules: ofItems(1) }, 'Workflow Rule Missing', 'info'],
];

for (const [fact, title, severity] of CASES) {
  t.test(`${JSON.stringify(fact)} ${title ? `fires ${title}` : 'fires nothing'}`, async (t) => {
    t.same(
      firingRules({ ...CALM, ...fact }).map((rule) => [rule.title, rule.severity]),
      title ? [[title, severity]] : [],
    );
  });
}

t.test('every rule fires in a case above', async (t) => {
  const fired = new Set(CASES.flatMap(([fact]) => firingRules({ ...CALM, ...fact }).map(({ rule }) => rule)));
  t.same([...fired].toSorted(), RULES.map(({ rule }) => rule).toSorted());
});

t.test('every message is a sentence that says what is wrong, and one that says what to do', async (t) => {
  for (const rule of RULES) t.match(rule.message(2, { error_tag: 'ConflictError' }), /^\S.+[.:] \S.+\.$/, rule.rule);
});

t.test('a condition without data fires nothing', async (t) => {
  t.same(firingRules({ ...CALM, failurePercent: null, rejected: null }), []);
});

t.test('an installation sets other thresholds', async (t) => {
  const thresholds = { queue_backlog_warning: 20 };
  t.same(
    firingRules({ ...CALM, pending: 21 }, thresholds).map(({ rule }) => rule),
    ['queue_backlog_warning'],
  );
  t.same(firingRules({ ...CALM, pending: 20 }, thresholds), []);
});

import t from 'tap';
import { evaluate, type Facts } from '../../src/monitor/alerts/rules.ts';
import { WORKFLOW_RULES, type WorkflowFacts } from '../../src/monitor/alerts/workflow-rules.ts';

const CALM: Facts = {
  ...{ withheldDeletions: 0, differingModules: 0 },
  ...(Object.fromEntries(WORKFLOW_RULES.map(({ condition }) => [condition, 0])) as WorkflowFacts),
  secondsWithoutWorker: 0,
  pending: 0,
  deadLetters: 0,
  stuck: 0,
  failurePercent: 0,
  givenBack: 0,
  rejectedSinceAccepted: 0,
  driftingFields: 0,
};

/** The table of the operations guide and what it lacks, at and just above each threshold. */
const CASES: [fact: Partial<Facts>, title: string | null, severity?: string][] = [
  [{ pending: 500 }, null],
  [{ pending: 501 }, 'Queue Backlog Warning', 'warning'],
  [{ pending: 1000 }, 'Queue Backlog Warning', 'warning'],
  [{ pending: 1001 }, 'Queue Backlog Critical', 'critical'],
  [{ deadLetters: 50 }, null],
  [{ deadLetters: 51 }, 'Elevated Dead Letter Queue', 'warning'],
  [{ deadLetters: 100 }, 'Elevated Dead Letter Queue', 'warning'],
  [{ deadLetters: 101 }, 'High Dead Letter Queue', 'critical'],
  [{ stuck: 1 }, 'Stuck Events Detected', 'warning'],
  [{ secondsWithoutWorker: 30 }, null],
  [{ secondsWithoutWorker: 31 }, 'No Worker', 'critical'],
  [{ givenBack: 1 }, 'Events Given Back Again And Again', 'warning'],
  [{ withheldDeletions: 1 }, 'Deletions Withheld', 'critical'],
  [{ differingModules: 1 }, 'Mirror Differs From Zoho', 'warning'],
  [{ workflowsWithoutProgress: 1 }, 'Workflow Without Progress', 'warning'],
  [{ failedValidationError: 1 }, 'Workflow Failed: ValidationError', 'critical'],
  [{ failedServiceUnavailableError: 1 }, 'Workflow Failed: ServiceUnavailableError', 'warning'],
  [{ failurePercent: 5 }, null],
  [{ failurePercent: 5.1 }, 'Elevated Failure Rate', 'warning'],
  [{ failurePercent: 10 }, 'Elevated Failure Rate', 'warning'],
  [{ failurePercent: 10.1 }, 'High Failure Rate', 'critical'],
];

for (const [fact, title, severity] of CASES) {
  t.test(`${JSON.stringify(fact)} ${title ? `fires ${title}` : 'fires nothing'}`, async (t) => {
    const firing = evaluate({ ...CALM, ...fact }).flatMap((verdict) => verdict.firing?.rule ?? []);
    t.same(
      firing.map((rule) => [rule.title, rule.severity]),
      title ? [[title, severity]] : [],
    );
  });
}

t.test('every condition with data gets a verdict, so that clear ones resolve', async (t) => {
  t.equal(evaluate(CALM).length, Object.keys(CALM).length);
});

t.test('a condition without data gets no verdict at all', async (t) => {
  const verdicts = evaluate({ ...CALM, failurePercent: null });
  t.notOk(verdicts.some((verdict) => verdict.condition === 'failurePercent'));
});

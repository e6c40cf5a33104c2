import t from 'tap';
import { type Outcome, transition } from '../../src/queue/state.ts';

const POLICY = { maxAttempts: 3, baseSeconds: 10, maxSeconds: 900 };
const failed = (permanent: boolean): Outcome => ({ kind: 'failed', tag: 'TimeoutError', message: 'slow', permanent });
const crashed = (alone: boolean): Outcome => ({ kind: 'crashed', alone });

/** Every outcome at every attempt: what becomes of the event, what it costs, and whether it is a suspect. */
const TABLE: [attemptsBefore: number, Outcome, status: string, log: string, charge: number, suspect: boolean][] = [
  [0, { kind: 'succeeded', label: 'applied' }, 'completed', 'completed', 1, false],
  [2, { kind: 'succeeded', label: null }, 'completed', 'completed', 1, false],
  [0, failed(false), 'retry', 'retry', 1, false],
  [1, failed(false), 'retry', 'retry', 1, false],
  [2, failed(false), 'dead_letter', 'dead_letter', 1, false],
  [0, failed(true), 'dead_letter', 'dead_letter', 1, false],
  [0, { kind: 'snoozed', seconds: 7, tag: 'RateLimitError', message: 'wait' }, 'pending', 'released', 0, false],
  [2, { kind: 'snoozed', seconds: 7, tag: 'RateLimitError', message: 'wait' }, 'pending', 'released', 0, false],
  [0, { kind: 'released' }, 'pending', 'released', 0, false],
  [2, { kind: 'released' }, 'pending', 'released', 0, false],
  [2, crashed(false), 'pending', 'crashed', 0, true],
  [0, crashed(true), 'pending', 'crashed', 1, true],
  [1, crashed(true), 'pending', 'crashed', 1, true],
  [2, crashed(true), 'dead_letter', 'dead_letter', 1, true],
];

for (const [before, outcome, status, log, charge, suspect] of TABLE) {
  t.test(`${outcome.kind} after ${before} attempts means ${status}`, async (t) => {
    t.match(transition(before, outcome, POLICY), { status, log, charge, suspect });
  });
}

t.test('every retry waits, and longer than the one before', async (t) => {
  const [first, second] = [0, 1].map((before) => transition(before, failed(false), POLICY).delaySeconds);
  t.ok(first && first >= 7.5 && first <= 10, `first: ${first}`);
  t.ok(second && second >= 15 && second <= 20, `second: ${second}`);
});

t.test('a snooze waits as long as it was asked to, a crash and a release do not wait', async (t) => {
  t.equal(transition(0, { kind: 'snoozed', seconds: 7, tag: 'RateLimitError', message: '' }, POLICY).delaySeconds, 7);
  t.equal(transition(0, crashed(true), POLICY).delaySeconds, 0);
  t.equal(transition(0, { kind: 'released' }, POLICY).delaySeconds, 0);
});

t.test('what is dead or waits to be retried says why', async (t) => {
  for (const [before, outcome] of TABLE) {
    const end = transition(before, outcome, POLICY);
    if (['retry', 'dead_letter'].includes(end.status)) t.ok(end.errorTag && end.errorMessage, outcome.kind);
  }
});

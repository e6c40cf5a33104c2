import t from 'tap';
import { MAX_FREE_RELEASES, transition } from '../../src/queue/state.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';

const POLICY = { maxAttempts: 3, baseSeconds: 10, maxSeconds: 900 };
const failed = (permanent: boolean): Outcome => ({ kind: 'failed', tag: 'TimeoutError', message: 'slow', permanent });
const crashed = (alone: boolean): Outcome => ({ kind: 'crashed', alone });
const released: Outcome = { kind: 'released', seconds: 7, tag: 'RateLimitError', message: 'wait' };
const unharmed: Outcome = { kind: 'unharmed', seconds: 7, tag: null, message: null };
const after = (attemptCount: number, releaseCount = 0) => ({ attemptCount, releaseCount });

/** Every outcome at every attempt: what becomes of the event, what it costs, and whether it is a suspect. */
const TABLE: [attemptsBefore: number, Outcome, status: string, log: string, charge: number, suspect: boolean][] = [
  [0, { kind: 'succeeded', label: 'applied' }, 'completed', 'completed', 1, false],
  [2, { kind: 'succeeded', label: null }, 'completed', 'completed', 1, false],
  [0, failed(false), 'retry', 'retry', 1, false],
  [1, failed(false), 'retry', 'retry', 1, false],
  [2, failed(false), 'dead_letter', 'dead_letter', 1, false],
  [0, failed(true), 'dead_letter', 'dead_letter', 1, false],
  [0, released, 'pending', 'released', 0, false],
  [2, released, 'pending', 'released', 0, false],
  [2, unharmed, 'pending', 'released', 0, false],
  [2, crashed(false), 'pending', 'released', 0, true],
  [0, crashed(true), 'pending', 'crashed', 1, true],
  [1, crashed(true), 'pending', 'crashed', 1, true],
  [2, crashed(true), 'dead_letter', 'dead_letter', 1, false],
];

for (const [before, outcome, status, log, charge, suspect] of TABLE) {
  t.test(`${outcome.kind} after ${before} attempts means ${status}`, async (t) => {
    t.match(transition(after(before), outcome, POLICY), { status, log, charge, suspect });
  });
}

t.test('every retry waits, and longer than the one before', async (t) => {
  const [first, second] = [0, 1].map((before) => transition(after(before), failed(false), POLICY).delaySeconds);
  t.ok(first && first >= 7.5 && first <= 10, `first: ${first}`);
  t.ok(second && second >= 15 && second <= 20, `second: ${second}`);
});

t.test('a release waits as long as it was asked to, a crash does not wait', async (t) => {
  t.equal(transition(after(0), released, POLICY).delaySeconds, 7);
  t.equal(transition(after(0), unharmed, POLICY).delaySeconds, 7);
  t.equal(transition(after(0), crashed(true), POLICY).delaySeconds, 0);
});

t.test('a failure that names its own wait gets it', async (t) => {
  t.equal(transition(after(0), { ...(failed(false) as Outcome & { kind: 'failed' }), retryAfterSeconds: 77 }, POLICY).delaySeconds, 77);
});

t.test('the sixth release in a row is charged, and what was never begun is not, however often', async (t) => {
  t.match(transition(after(0, MAX_FREE_RELEASES - 1), released, POLICY), { status: 'pending', charge: 0 });
  t.match(transition(after(0, MAX_FREE_RELEASES), released, POLICY), { status: 'retry', charge: 1, delaySeconds: 7 });
  t.match(transition(after(2, MAX_FREE_RELEASES), released, POLICY), { status: 'dead_letter', charge: 1 });
  t.match(transition(after(0, 100), unharmed, POLICY), { status: 'pending', charge: 0, countsAsRelease: false });
});

t.test('what is dead or waits to be retried says why', async (t) => {
  for (const [before, outcome] of TABLE) {
    const end = transition(after(before), outcome, POLICY);
    if (['retry', 'dead_letter'].includes(end.status)) t.ok(end.errorTag && end.errorMessage, outcome.kind);
  }
});

/** Random failures and decisions against a model of a few lines: what state each group is in, and what may be decided. */
import fc from 'fast-check';
import t from 'tap';
import { type Decision, decide } from '../../../src/monitor/errors/decide.ts';
import { failureGroups } from '../../../src/monitor/errors/groups.ts';
import { rollUpFailures } from '../../../src/queue/failures.ts';
import { testDatabase } from '../../helper.ts';
import { attemptEach } from './failing.ts';

const { db, pool } = await testDatabase(t);
const SEED = 20_261_128;
const CAUSES = ['no such account', 'no such warehouse'];

type State = 'open' | 'resolved' | 'ignored' | 'reopened';
type Kind = Decision['kind'];

/** A failure opens a group and reopens a resolved one; decisions lead to one state each, and only from another one. */
class Model {
  readonly groups = new Map<string, { state: State; count: number }>();

  fails(cause: string): void {
    const { state, count } = this.groups.get(cause) ?? { state: 'open', count: 0 };
    this.groups.set(cause, { state: state === 'resolved' ? 'reopened' : state, count: count + 1 });
  }

  decides(cause: string, kind: Kind): string {
    const group = this.groups.get(cause);
    const next: State = kind === 'resolve' ? 'resolved' : kind === 'ignore' ? 'ignored' : 'open';
    if (!group) return 'not_found';
    if (group.state === next) return 'already';
    group.state = next;
    return 'decided';
  }
}

const step = fc.record({
  cause: fc.constantFrom(...CAUSES),
  what: fc.constantFrom<'fails' | Kind>('fails', 'fails', 'resolve', 'ignore', 'reopen'),
  counted: fc.boolean(),
});

t.test('groups are in the states of their model, whatever fails and whatever operators decide', async (t) => {
  const seen = new Set<string>();
  const property = fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
    await pool.query('truncate tds_failures, tds_failure_changes, tds_failure_groups, tds_failure_hours');
    const model = new Model();
    for (const { cause, what, counted } of steps) {
      if (what === 'fails') {
        await attemptEach(pool, ['1'], () => Promise.reject(new Error(cause)));
        model.fails(cause);
      } else {
        const [expected, outcome] = [model.decides(cause, what), await decideOn(cause, what)];
        if (outcome !== expected) throw new Error(`${what}: ${outcome} instead of ${expected}`);
      }
      // Also failures that nobody has counted yet have happened.
      if (!counted) continue;
      const found = (await states()).toSorted();
      const expected = [...model.groups].map(([name, { state, count }]) => `${name} ${state} ${count}`).toSorted();
      if (found.join() !== expected.join()) throw new Error(`${found} instead of ${expected}`);
      for (const { state } of model.groups.values()) seen.add(state);
    }
  });
  await fc.assert(property, { seed: SEED, numRuns: 40 });
  t.same([...seen].toSorted(), ['ignored', 'open', 'reopened', 'resolved'], 'every state was met');
});

async function decideOn(cause: string, kind: Kind): Promise<string> {
  await rollUpFailures(db);
  const decision: Decision = kind === 'ignore' ? { kind, reason: 'a test' } : { kind };
  const { rows } = await pool.query('select fingerprint from tds_failure_groups where message = $1', [cause]);
  return db.transaction().execute((trx) => decide(trx, rows[0]?.fingerprint ?? '0', decision, 'ann'));
}

async function states(): Promise<string[]> {
  const { groups } = await failureGroups(db, { limit: 10 });
  return groups.map(({ message, state, count }) => `${message} ${state} ${count}`);
}

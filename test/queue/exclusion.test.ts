/** One holder per entity, shown at the very moments at which a weaker claim would let a second one in. */
import type { Pool, PoolClient } from 'pg';
import t from 'tap';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { someoneWaitsForALock, testDatabase, waitFor } from '../helper.ts';
import { disagreements } from './agreement.ts';
import { ALL_OF_EACH, arrive, Claimer } from './engine.ts';

const { pool } = await testDatabase(t);
t.afterEach(() => pool.query('truncate tds_sync_queue'));

const IN_AN_HOUR: Outcome = { kind: 'unharmed', seconds: 3600, tag: null, message: null };

/** A pool whose clients stop before a statement that matches, until `go` is called. */
function stoppingBefore(pattern: RegExp) {
  const reached = Promise.withResolvers<true>();
  const gate = Promise.withResolvers<void>();
  const stop = (client: PoolClient) =>
    new Proxy(client, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (name !== 'query') return typeof value === 'function' ? value.bind(target) : value;
        return async (statement: string | { name?: string }) => {
          if (pattern.test(typeof statement === 'string' ? statement : (statement.name ?? ''))) {
            reached.resolve(true);
            await gate.promise;
          }
          return target.query(statement as string);
        };
      },
    });
  const stopping = { connect: async () => stop(await pool.connect()) } as unknown as Pool;
  return { pool: stopping, reached: reached.promise, go: () => gate.resolve() };
}

t.test("while a claim is not committed, the later events of its entity are nobody else's", async (t) => {
  const [first = ''] = await arrive(pool, ['a']);
  const early = stoppingBefore(/^commit$/);
  const mine = new Claimer(early.pool).claim();
  await early.reached;
  await arrive(pool, ['a']);
  const late = stoppingBefore(/^claim events/);
  const theirs = new Claimer(late.pool).claim(ALL_OF_EACH);
  // Either it waits for our claim, or it believes that the entity is its own.
  await Promise.race([late.reached, waitFor('the second claim to wait', () => someoneWaitsForALock(pool))]);
  early.go();
  t.same(
    (await mine).map(({ id }) => id),
    [first],
  );
  late.go();
  t.same(await theirs, []);
  t.same(await disagreements(pool), []);
});

t.test(
  'an event that went back to wait, after a claim had looked at its entity, still holds back the later ones',
  async (t) => {
    await arrive(pool, ['x', 'x', 'y', 'y']);
    const { rows } = await pool.query<{ key: string }>(
      'select distinct entity_key as key from tds_sync_queue order by 1',
    );
    const [first = '', second = ''] = rows.map(({ key }) => key);
    // Claims take entities in this order: with the first in other hands, a claim of both has to wait in between.
    const stranger = await pool.connect();
    await stranger.query('begin');
    await stranger.query('insert into tds_queue_claims (entity_key, lease) values ($1, gen_random_uuid())', [first]);

    const early = stoppingBefore(/^commit$/);
    const owner = new Claimer(early.pool);
    const owned = owner.claim({ from: [second] });
    await early.reached;
    const theirs = new Claimer(pool).claim(ALL_OF_EACH);
    await waitFor('the claim of both entities to wait', () => someoneWaitsForALock(pool));
    early.go();
    await new Claimer(pool, owner.workerId).end(await owned, IN_AN_HOUR);
    await stranger.query('rollback');
    stranger.release();

    const taken = (await theirs).map(({ entityKey }) => entityKey);
    t.notOk(taken.includes(second), 'its first event waits for an hour, and the second behind it');
    t.same(await disagreements(pool), []);
  },
);

t.test('of two writers of one entity the second waits for the commit of the first', async (t) => {
  const writer = await pool.connect();
  await writer.query('begin');
  const [early = ''] = await arrive(writer, ['w']);
  const late = arrive(pool, ['w']);
  // Either it waits for the first one, or its event can be claimed before an earlier one is there.
  await Promise.race([late, waitFor('the second writer to wait', () => someoneWaitsForALock(pool))]);
  t.same(await new Claimer(pool).claim(), []);
  await writer.query('commit');
  writer.release();
  await late;
  t.same(
    (await new Claimer(pool).claim()).map(({ id }) => id),
    [early],
  );
});

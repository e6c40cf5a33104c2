import { sql } from 'kysely';
import t from 'tap';
import type { InboxEvent } from '../factory.ts';
import { someoneWaitsForALock, testDatabase, waitFor } from '../helper.ts';
import { draft, LATER, mirroring, newId, paid, sent, V1, V2, V3, WITHIN_V2 } from './mirroring.ts';

const { db, pool } = await testDatabase(t);
const { handle, arrive, batch, oneByOne, stored } = mirroring(db);

t.test('of one entity a batch writes once, and says what became of the others', async (t) => {
  const entityId = newId();
  const outcomes = await batch(
    { entityId, record: draft, version: V1 },
    { entityId, record: paid, version: V3 },
    { entityId, record: sent, version: V2 },
    { entityId, record: paid, version: V3 },
  );
  t.same(outcomes, ['superseded', 'applied', 'stale', 'unchanged']);
  t.match(await stored(entityId), { status: 'paid' });
});

t.test('it makes no difference how events are cut into batches', async (t) => {
  const random = randomNumbers(20261121);
  const pick = <T>(values: T[]) => values[Math.floor(random() * values.length)] as T;
  const records = [
    draft,
    sent,
    paid,
    { ...draft, notes: 'n' },
    { invoice_id: '1', status: 'part' },
    { invoice_id: '1' },
  ];
  const times = [V1, V2, WITHIN_V2, V3, LATER];
  const anyEvent = (): Omit<InboxEvent, 'entityId'> => ({
    record: pick(records),
    version: pick([V1, V2, V3, null]),
    action: pick(['updated', 'updated', 'updated', 'deleted']),
    receivedAt: pick(times),
  });
  const histories = Array.from({ length: 40 }, () => ({
    entityId: newId(),
    events: Array.from({ length: 1 + Math.floor(random() * 6) }, anyEvent),
  }));
  const all = (organizationId: string) =>
    histories.flatMap(({ entityId, events }) => events.map((event) => ({ ...event, entityId, organizationId })));
  await batch(...all('together'));
  await oneByOne(...all('apart'));
  t.same(await rowsOf('together'), await rowsOf('apart'));
});

t.test('a newer version that is committed meanwhile is not overwritten', async (t) => {
  const entityId = newId();
  const newer = await arrive({ entityId, record: paid, version: V2 });
  const older = await arrive({ entityId, record: draft, version: V1 });
  const zombie = await db.startTransaction().execute();
  await handle(newer, zombie);
  const waiting = handle(older);
  await waitFor('the second transaction to wait for the first', () => someoneWaitsForALock(pool));
  await zombie.commit().execute();
  t.same(await waiting, ['superseded']);
  t.match(await stored(entityId), { status: 'paid' });
});

t.test('an update that leaves a row current touches no index', async (t) => {
  const entityIds = Array.from({ length: 50 }, newId);
  await batch(...entityIds.map((entityId) => ({ entityId, record: draft, version: V1 })));
  const events = await arrive(...entityIds.map((entityId) => ({ entityId, record: paid, version: V2 })));
  const { updated, hot } = await db.transaction().execute(async (trx) => {
    await handle(events, trx);
    const { rows } = await sql<{ updated: number; hot: number }>`
      select pg_stat_get_xact_tuples_updated(oid)::int as updated, pg_stat_get_xact_tuples_hot_updated(oid)::int as hot
      from pg_class where oid = 'books_records'::regclass`.execute(trx);
    return rows[0] ?? { updated: 0, hot: 0 };
  });
  t.equal(updated, 50);
  t.ok(hot > 0, 'as many as found room on their page');
});

t.test('batches with the same entities in opposite order do not deadlock', async (t) => {
  const entityIds = Array.from({ length: 50 }, newId);
  for (const version of [V1, V2, V3]) {
    const forth = await arrive(...entityIds.map((entityId) => ({ entityId, record: sent, version })));
    const back = await arrive(...entityIds.toReversed().map((entityId) => ({ entityId, record: paid, version })));
    await t.resolves(Promise.all([handle(forth), handle(back)]));
  }
});

async function rowsOf(organizationId: string) {
  return db
    .selectFrom('books_records')
    .select(['entity_id', 'version', 'deleted_at', 'record'])
    .where('organization_id', '=', organizationId)
    .orderBy('entity_id')
    .execute();
}

/** Park and Miller's generator: the same numbers in every run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

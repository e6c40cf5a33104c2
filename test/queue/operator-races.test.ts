/** An operator's deed that waits for another one acts on what that one left, not on what it read before. */
import { sql } from 'kysely';
import t from 'tap';
import { editDeadLetter } from '../../src/inbox/edit.ts';
import { restore } from '../../src/queue/discard.ts';
import { quarantine } from '../../src/queue/quarantine.ts';
import { someoneWaitsForALock, testDatabase, waitFor } from '../helper.ts';
import { arrive, retryOne, statusOf } from './engine.ts';

const { db, pool } = await testDatabase(t);

async function aDeadOne(): Promise<string> {
  const [id = ''] = await arrive(pool, ['46000000000001']);
  await pool.query(
    `update tds_sync_queue set status = 'dead_letter', attempt_count = 3, error_tag = 'TimeoutError' where id = $1`,
    [id],
  );
  return id;
}

/** In an object, because a transaction would wait for a bare promise. */
async function isWaiting<T>(deed: Promise<T>): Promise<{ deed: Promise<T> }> {
  await waitFor('the other deed to wait', () => someoneWaitsForALock(pool));
  return { deed };
}

t.test('a restore that comes while an edit is being made is told of it', async (t) => {
  const id = await aDeadOne();
  const waiting = await db.transaction().execute(async (trx) => {
    const edit = { record: { invoice_id: '46000000000001' }, author: 'ann', reason: 'wrong' };
    t.match(await editDeadLetter(trx, id, edit, '1'), { outcome: 'edited' });
    // Whatever a restore reads without a lock it has read before the edit commits.
    await sql`lock table tds_sync_queue`.execute(trx);
    return isWaiting(db.transaction().execute((other) => restore(other, id)));
  });
  t.match(await waiting.deed, { outcome: 'edited' });
});

t.test('a retry leaves alone what is taken out of the queue while it waits', async (t) => {
  const id = await aDeadOne();
  const waiting = await db.transaction().execute(async (trx) => {
    await sql`update tds_sync_queue set status = 'pending' where id = ${id}`.execute(trx);
    t.match(await quarantine(trx, id, 'ann', 'do not touch'), { outcome: 'quarantined' });
    return isWaiting(retryOne(db, id));
  });
  t.match(await waiting.deed, { outcome: 'quarantined' });
  t.match(await statusOf(pool, id), /^dead_letter/);
});

import t from 'tap';
import { purge } from '../../src/queue/purge.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer, statusOf } from './engine.ts';

const { pool } = await testDatabase(t);
const DAYS = 30;

const left = async (table: string, key: string, ids: string[]) => {
  const { rows } = await pool.query(`select ${key} as id from ${table} where ${key} = any ($1::uuid[])`, [ids]);
  return rows.map(({ id }) => ids.indexOf(id)).sort();
};

t.test('a purge takes old completed events with logs and payloads, and leaves all others', async (t) => {
  const ids = await arrive(pool, ['old', 'young', 'dead']);
  const [old = '', young = '', dead = ''] = ids;
  const claimer = new Claimer(pool);
  const events = await claimer.claim();
  await claimer.end(events.filter(({ id }) => id !== dead));
  await claimer.end(
    events.filter(({ id }) => id === dead),
    { kind: 'failed', tag: 'ValidationError', message: 'bad', permanent: true },
  );
  const age = `set queued_at = now() - interval '31 days'`;
  await pool.query(`update tds_sync_queue ${age}, completed_at = now() - interval '31 days' where id = $1`, [old]);
  await pool.query(`update tds_sync_queue ${age} where id = any ($1::uuid[])`, [[young, dead]]);
  await pool.query(`update tds_inbox_events set processed_at = now() - interval '31 days' where event_id = $1`, [old]);

  t.strictSame(await purge(pool, DAYS), { events: 1, inbox: 1, logs: 1 });
  t.equal(await statusOf(pool, dead), 'dead_letter 1');
  for (const [table, key] of [
    ['tds_sync_queue', 'id'],
    ['tds_sync_logs', 'queue_id'],
    ['tds_inbox_payloads', 'event_id'],
    ['tds_inbox_events', 'event_id'],
  ] as const) {
    t.strictSame(await left(table, key, ids), [1, 2], `${table} keeps the young one and the dead one`);
  }
});

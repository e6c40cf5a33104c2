/** QUEUE_DRIVER=bullmq means what the default means: order, fence, attempts and dead letters are PostgreSQL's. */
import t from 'tap';
import { checkRedis } from '../../src/queue/dispatch.ts';
import { pause, resume } from '../../src/queue/pause.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { Fleet } from './fleet.ts';
import { closeGate, gate } from './handlers/effects.ts';
import { RedisServer, whyNoRedis } from './redis-server.ts';

t.setTimeout(120_000);
const why = whyNoRedis();
if (why) {
  t.plan(0, why);
} else {
  const database = await testDatabase(t);
  const redis = await RedisServer.start(t);
  const fleet = await Fleet.start(t, database, { REDIS_URL: redis.url });
  const statusOf = async (id: string) => {
    const { rows } = await fleet.pool.query('select status, attempt_count from tds_sync_queue where id = $1', [id]);
    return rows[0];
  };
  t.afterEach(async () => {
    await fleet.pool.query('truncate effects');
    fleet.sent.length = 0;
  });

  t.test('two workers apply every event once, each entity in order of arrival', async (t) => {
    await fleet.sendMany(300);
    await fleet.settled();
    await fleet.assertExactlyOnce(t);
    t.ok((await redis.received()) > 0, 'announced through Redis');
  });

  t.test('events of one entity follow each other without waiting for a poll', async (t) => {
    for (let n = 0; n < 60; n += 1) await fleet.send('the only one');
    const started = performance.now();
    await fleet.settled();
    await fleet.assertExactlyOnce(t);
    // The relay polls once a second: 60 in a row would take it a minute.
    t.ok(performance.now() - started < 45_000, '60 in a row within 45 s');
  });

  t.test('an event that always fails becomes a dead letter after three attempts, and frees its entity', async (t) => {
    const failing = await fleet.send('entity f', { fail: 'always' });
    const next = await fleet.send('entity f');
    await fleet.settled();
    t.same(await statusOf(failing), { status: 'dead_letter', attempt_count: 3 });
    t.same(await statusOf(next), { status: 'completed', attempt_count: 1 });
  });

  t.test('an event that fails once waits its delay and completes, those behind it wait too', async (t) => {
    const failing = await fleet.send('entity o', { fail: 'once' });
    const next = await fleet.send('entity o');
    await fleet.settled();
    t.same(await statusOf(failing), { status: 'completed', attempt_count: 2 });
    const { rows } = await fleet.pool.query('select event_id from effects order by nth');
    t.same(
      rows.map((row) => row.event_id),
      [failing, next],
    );
  });

  t.test('a permanent error costs one attempt', async (t) => {
    const wrong = await fleet.send('entity w', { fail: 'forever wrong' });
    await fleet.settled();
    t.same(await statusOf(wrong), { status: 'dead_letter', attempt_count: 1 });
  });

  t.test('of a worker that lost its event to another, the effects vanish', async (t) => {
    const open = closeGate();
    const id = await fleet.send('entity z');
    await waitFor('the first run to begin', () => gate.entered === 1);
    await fleet.pool.query(`update tds_sync_queue set status = 'pending' where id = $1`, [id]);
    await waitFor('the second run to begin', () => gate.entered === 2);
    open();
    await fleet.settled();
    await fleet.assertExactlyOnce(t);
  });

  t.test('a lower priority number overtakes what was announced before', async (t) => {
    const open = closeGate();
    for (let n = 0; n < 60; n += 1) await fleet.send(`blocker ${n}`);
    await waitFor('announcements that nobody has hands for', async () => (await redis.announced()) >= 10);
    await pause(database.db, 'test', null);
    const urgent = await fleet.send('urgent');
    await fleet.pool.query('update tds_sync_queue set priority = 0 where id = $1', [urgent]);
    await resume(database.db);
    await waitFor('its announcement', async () => (await redis.keys(`${urgent}*`)).length > 0);
    open();
    await fleet.settled();
    const { rows } = await fleet.pool.query(
      'select count(*)::int as behind from effects where nth > (select nth from effects where event_id = $1)',
      [urgent],
    );
    t.ok(rows[0].behind > 0, `${rows[0].behind} of those before it ran after it`);
  });

  t.test('a relay that died is replaced when its claim runs out', async (t) => {
    const dead = 'a worker that is no more';
    await redis.command('set', 'tds:relay', dead, 'px', '3000');
    await waitFor('another worker to relay', async () => {
      const relay = await redis.command('get', 'tds:relay');
      return typeof relay === 'string' && relay !== dead;
    });
    const received = await redis.received();
    await waitFor('announcements to be received again', async () => {
      await fleet.send('after nobody relayed');
      return (await redis.received()) > received;
    });
    await fleet.settled();
    await fleet.assertExactlyOnce(t);
  });

  t.test('Redis keeps nothing of what is done', async (t) => {
    t.equal(await redis.announced(), 0);
    t.same(await redis.keys('*_*'), []);
  });

  t.test('sets of events are announced in bundles, and end with the newest version of each record', async (t) => {
    const ownDatabase = await testDatabase(t);
    const env = { REDIS_URL: `${redis.url}/1`, HANDLERS_DIR: '' };
    const mirrors = await Fleet.start(t, ownDatabase, env);
    const received = await redis.received();
    await mirrors.sendMany(2000);
    await mirrors.settled();
    const { rows } = await mirrors.pool.query(
      `select count(*)::int as records, count(distinct version)::int as versions,
              (select count(*)::int from tds_sync_queue where status = 'completed' and attempt_count = 1) as completed,
              (select count(*)::int from tds_sync_logs) as attempts
       from books_records where version >= (select max(version) - interval '49 seconds' from books_records)`,
    );
    t.same(rows, [{ records: 50, versions: 50, completed: 2000, attempts: 2000 }]);
    t.ok((await redis.received()) - received < 1000, 'less announcements than events');
  });

  t.test('health tells a Redis that takes writes from one that is not there', async (t) => {
    t.match(await checkRedis(redis.url), { name: 'redis', status: 'up' });
    t.match(await checkRedis('redis://127.0.0.1:1'), { name: 'redis', status: 'down' });
  });
}

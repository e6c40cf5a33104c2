/**
 * F38 to F40: what happens to Redis must not lose an event, apply one twice, change an order or cost an attempt.
 * Events are sent before, during and after each fault, and each test proves that its fault happened.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { checkRedis } from '../../src/queue/dispatch.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { Fleet, HANDLERS_DIR } from './fleet.ts';
import { closeGate } from './handlers/effects.ts';
import { RedisServer, whyNoRedis } from './redis-server.ts';

const CONSUMING_AGAIN_MS = 5000;
/** What was announced counts for 5 s, and the relay looks once a second. */
const SWEEP_MS = 8000;

t.setTimeout(900_000);
const why = whyNoRedis();
if (why) t.plan(0, why);
else await testFaults();

async function testFaults(): Promise<void> {
  const database = await testDatabase(t);
  const redis = await RedisServer.start(t);
  const fleet = await Fleet.start(t, database, { REDIS_URL: redis.url });

  async function health(status: 'up' | 'down'): Promise<void> {
    await waitFor(`health to say ${status}`, async () => (await checkRedis(redis.url)).status === status);
  }

  /** Workers take announcements from Redis again, within the time that is promised. */
  async function assertConsuming(t: Test): Promise<void> {
    const healed = performance.now();
    const before = await redis.received();
    await waitFor(
      'announcements to be received',
      async () => {
        await fleet.send('after the fault');
        return (await redis.received()) !== before;
      },
      2 * CONSUMING_AGAIN_MS,
    );
    const ms = Math.round(performance.now() - healed);
    t.ok(ms < CONSUMING_AGAIN_MS, `consuming through Redis ${ms} ms after the fault`);
  }

  /** Sends while `fault` goes on, and sees all of it done before anything is healed. */
  async function during(t: Test, fault: () => Promise<unknown>): Promise<void> {
    await fleet.sendMany(50);
    await fleet.sendUntil(fault());
    await fleet.settled();
    t.pass(`${fleet.sent.length} events done meanwhile`);
  }

  async function afterwards(t: Test): Promise<void> {
    await assertConsuming(t);
    await health('up');
    await fleet.sendMany(50);
    await fleet.settled();
    await fleet.assertExactlyOnce(t);
  }

  /** Announcements stand in Redis, and no worker has a free hand for them, until the gate is opened. */
  async function heldBack(): Promise<() => void> {
    const open = closeGate();
    for (let n = 0; n < 60; n += 1) await fleet.send(`held ${n}`);
    await waitFor('announcements that wait in Redis', async () => (await redis.announced()) >= 20);
    return open;
  }

  /** Runs `loss` and counts in one step: between two, the relay would already be at work. */
  async function assertRebuilt(t: Test, loss: string): Promise<void> {
    const before = await redis.announced();
    const left = await redis.command('eval', `${loss} return redis.call('zcard', 'tds:events:prioritized')`, '0');
    t.equal(left, 0, `the fault: ${before} announcements gone`);
    const lost = performance.now();
    await waitFor('the announcements to be back', async () => (await redis.announced()) >= before, 2 * SWEEP_MS);
    const ms = Math.round(performance.now() - lost);
    t.ok(ms < SWEEP_MS, `rebuilt within ${ms} ms`);
  }

  t.beforeEach(async () => {
    await fleet.pool.query('truncate effects');
    fleet.sent.length = 0;
    await waitFor('the relay', async () => (await redis.command('exists', 'tds:relay')) === 1);
  });

  t.test('F38: killed with announcements in it, away for 3 s, started empty', async (t) => {
    const open = await heldBack();
    open();
    await during(t, async () => {
      await redis.kill();
      t.match(await checkRedis(redis.url), { status: 'down' }, 'the fault: nobody answers');
      await waitFor('3 s', after(3000));
    });
    await redis.restart();
    t.equal(await redis.info('persistence', 'rdb_last_load_keys_loaded'), 0, 'the fault: it came back empty');
    await afterwards(t);
  });

  t.test('F38: restarted again and again', async (t) => {
    const pids = new Set<number>();
    await during(t, async () => {
      for (let n = 0; n < 5; n += 1) {
        await redis.kill();
        await redis.restart();
        pids.add(await redis.info('server', 'process_id'));
        await waitFor('half a second', after(500));
      }
    });
    t.equal(pids.size, 5, 'the fault: five other processes');
    await afterwards(t);
  });

  t.test('F39: flushed, it is filled again from PostgreSQL within one sweep', async (t) => {
    const open = await heldBack();
    await assertRebuilt(t, `redis.call('flushall')`);
    open();
    await fleet.settled();
    await afterwards(t);
  });

  t.test('F39: announcements that it dropped while all else stayed are made again within one sweep', async (t) => {
    const open = await heldBack();
    await assertRebuilt(t, `for _, key in ipairs(redis.call('keys', 'tds:events:*')) do redis.call('del', key) end`);
    t.equal(await redis.command('exists', 'tds:relay'), 1, 'the relay has not changed hands');
    open();
    await fleet.settled();
    await afterwards(t);
  });

  t.test('F39: an old snapshot brings announcements of what is long done', async (t) => {
    const open = await heldBack();
    await redis.snapshot();
    open();
    await fleet.settled();
    await redis.kill();
    await redis.restoreOld();
    await redis.restart();
    const loaded = await redis.info('persistence', 'rdb_last_load_keys_loaded');
    t.ok(loaded >= 20, `the fault: ${loaded} old keys`);
    await waitFor('the old announcements to be received', async () => (await redis.announced()) === 0);
    await afterwards(t);
  });

  t.test('F39: out of memory', async (t) => {
    await during(t, async () => {
      await redis.command('config', 'set', 'maxmemory-policy', 'noeviction');
      await redis.command('config', 'set', 'maxmemory', '1mb');
      t.match(await redis.refusal('set', 'x', 'y'), /^OOM/, 'the fault: it takes no writes');
      await health('down');
      await waitFor('3 s', after(3000));
    });
    await redis.command('config', 'set', 'maxmemory', '0');
    await afterwards(t);
  });

  t.test('F39: read-only, as the replica of a master that is gone', async (t) => {
    await during(t, async () => {
      await redis.command('replicaof', '127.0.0.1', '1');
      t.match(await redis.refusal('set', 'x', 'y'), /^READONLY/, 'the fault: it takes no writes');
      await health('down');
      await waitFor('3 s', after(3000));
    });
    await redis.command('replicaof', 'no', 'one');
    await afterwards(t);
  });

  t.test('F40: it pauses for 4 s', async (t) => {
    await during(t, async () => {
      const paused = performance.now();
      await redis.command('client', 'pause', '4000', 'all');
      t.match(await checkRedis(redis.url), { status: 'down' }, 'health says so');
      await redis.command('ping');
      const ms = Math.round(performance.now() - paused);
      t.ok(ms > 3500, `the fault: no answer for ${ms} ms`);
    });
    await afterwards(t);
  });

  t.test('F40: its connections are killed ten times', async (t) => {
    let killed = 0;
    await during(t, async () => {
      for (let n = 0; n < 10; n += 1) {
        killed += Number(await redis.command('client', 'kill', 'type', 'normal', 'skipme', 'yes'));
        await waitFor('300 ms', after(300));
      }
    });
    t.ok(killed >= 10, `the fault: ${killed} connections killed`);
    await afterwards(t);
  });

  t.test('a worker on another host is killed with kill -9 in the middle of its work', async (t) => {
    const env = { DATABASE_URL: database.url, QUEUE_DRIVER: 'bullmq', REDIS_URL: redis.url, HANDLERS_DIR };
    const options = {
      env: { ...env, LEASE_SECONDS: '3', WORKER_CONCURRENCY: '2', LOG_LEVEL: 'silent' },
      stdio: 'ignore',
    } as const;
    const victim = spawn(process.execPath, ['src/worker/main.ts'], options);
    const inHand = async () => {
      const { rows } = await fleet.pool.query<{ n: number }>(
        'select count(*)::int as n from tds_workers w join tds_queue_leases l using (worker_id), unnest(l.ids) where w.pid = $1',
        [victim.pid],
      );
      return rows[0]?.n ?? 0;
    };
    // Two may be ending at this moment, and one that is alone in dead hands is rightly charged for it.
    const caught = async () => {
      victim.kill('SIGSTOP');
      const held = await inHand();
      if (held >= 4) return held;
      victim.kill('SIGCONT');
      return false;
    };
    const frozen = waitFor('the other host to have events in hand', caught, 60_000);
    await fleet.sendUntil(frozen);
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    t.pass(`the fault: it died with up to ${await frozen} events in hand`);
    await fleet.settled(60_000);
    await fleet.assertExactlyOnce(t);
  });

  t.test('frozen for ever, it does not keep the workers from stopping', async (t) => {
    redis.freeze();
    const started = performance.now();
    await fleet.stop();
    const ms = Math.round(performance.now() - started);
    t.ok(ms < 5000, `stopped in ${ms} ms`);
    redis.thaw();
  });
}

/** A probe that is true once so many milliseconds have passed: the length of a fault. */
function after(ms: number): () => boolean {
  const over = performance.now() + ms;
  return () => performance.now() >= over;
}

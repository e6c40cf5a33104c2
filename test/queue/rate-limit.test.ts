import path from 'node:path';
import t, { type Test } from 'tap';
import { countCallInPostgres, waitMs } from '../../src/queue/rate-limit.ts';
import { testDatabase } from '../helper.ts';
import { Fleet } from './fleet.ts';
import { LIMIT } from './limited/limited.ts';
import { RedisServer, whyNoRedis } from './redis-server.ts';

const EVENTS = 30;

t.setTimeout(120_000);

t.test('calls beyond the limit are spread over the windows to come', async (t) => {
  const limit = { max: 2, durationMs: 1000 };
  const waits = [1, 2, 3, 4, 5].map((calls) => waitMs(limit, { calls, remainingMs: 400 }));
  t.same(waits, [0, 0, 400, 400, 1400]);
  t.equal(waitMs(limit, { calls: 1_000_000, remainingMs: 400 }), 600_000, 'nobody waits longer than 10 minutes');
});

t.test('PostgreSQL counts every call, also those made at once, and begins anew after the window', async (t) => {
  const { pool } = await testDatabase(t);
  const counts = await Promise.all(Array.from({ length: 20 }, () => countCallInPostgres(pool, 'many', 60_000)));
  t.same(
    counts.map(({ calls }) => calls).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, n) => n + 1),
  );
  t.ok(counts.every(({ remainingMs }) => remainingMs > 50_000 && remainingMs <= 60_000));
  await pool.query(`update tds_rate_limits set window_ends_at = now() - interval '1 second'`);
  t.match(await countCallInPostgres(pool, 'many', 60_000), { calls: 1 });
});

/** However the events wait: the limit holds for two workers together, and no wait costs an attempt. */
async function assertLimited(t: Test, env: Record<string, string>): Promise<void> {
  const database = await testDatabase(t);
  const fleet = await Fleet.start(t, database, { HANDLERS_DIR: path.join(import.meta.dirname, 'limited'), ...env });
  await Promise.all(Array.from({ length: EVENTS }, (_, n) => fleet.send(`entity ${n}`)));
  await fleet.settled(60_000);
  await fleet.assertExactlyOnce(t);
  const { rows } = await fleet.pool.query('select extract(epoch from max(at) - min(at)) * 1000 as ms from effects');
  // Not how many stand in one window: a busy machine may hold up calls after they were counted, and bunch them.
  const shortest = (EVENTS / LIMIT.max - 2) * LIMIT.durationMs;
  t.ok(rows[0].ms >= shortest, `${EVENTS} calls took ${Math.round(rows[0].ms)} ms`);
}

t.test('a handler is limited over all workers, counted in PostgreSQL', (t) =>
  assertLimited(t, { QUEUE_DRIVER: 'postgres' }),
);

t.test('a handler is limited over all workers, counted in Redis', { skip: whyNoRedis() }, async (t) => {
  const redis = await RedisServer.start(t);
  await assertLimited(t, { QUEUE_DRIVER: 'bullmq', REDIS_URL: redis.url });
});

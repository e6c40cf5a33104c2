import { createRequire } from 'node:module';
import t from 'tap';
import { claim } from '../../src/queue/claim.ts';
import { createDispatcher } from '../../src/queue/dispatch.ts';
import { silentLog, testDatabase } from '../helper.ts';

const { pool } = await testDatabase(t);
const options = { redisUrl: undefined, pool, workerId: '00000000-0000-4000-8000-000000000001', log: silentLog };
const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter((file) => /bullmq|ioredis/.test(file));

t.test('the default claims by itself and loads nothing of BullMQ', async (t) => {
  const dispatcher = await createDispatcher({ ...options, queueDriver: 'postgres' });
  t.equal(dispatcher.claim, claim);
  t.same(loaded(), []);
});

t.test('BullMQ is loaded when it is chosen', async (t) => {
  await createDispatcher({ ...options, queueDriver: 'bullmq', redisUrl: 'redis://127.0.0.1:1' });
  t.ok(loaded().length > 0);
});

t.test('BullMQ without a Redis is refused', (t) =>
  t.rejects(createDispatcher({ ...options, queueDriver: 'bullmq' }), /REDIS_URL/),
);

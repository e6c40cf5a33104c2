import t from 'tap';
import { GuessLimiter } from '../../src/api/plugins/guess-limiter.ts';
import { as, OPERATORS, testApi } from './client.ts';

const refusal = { status: 429, code: 'too_many_wrong_tokens' };

t.test('ten wrong tokens are forgiven, and one more each six seconds', async (t) => {
  let now = 0;
  const limiter = new GuessLimiter(() => now);
  const guess = (ip = '192.0.2.1') => {
    limiter.refuseWhenTooMany(ip);
    limiter.count(ip);
  };
  for (let n = 0; n < 10; n++) guess();
  t.throws(guess, { ...refusal, headers: { 'retry-after': '6' } });
  t.doesNotThrow(() => guess('192.0.2.2'), 'another address is another matter');
  now += 6000;
  t.doesNotThrow(guess);
  t.throws(guess, refusal);
  now += 3_600_000;
  for (let n = 0; n < 10; n++) t.doesNotThrow(guess);
});

t.test('wrong tokens are answered later and later, up to two seconds, and never many at a time', async (t) => {
  const waits: number[] = [];
  let release = Promise.withResolvers<void>();
  release.resolve();
  const limiter = new GuessLimiter(
    () => 0,
    (ms) => {
      waits.push(ms);
      return release.promise;
    },
  );
  for (let n = 0; n < 10; n++) {
    limiter.count('192.0.2.1');
    await limiter.slowDown('192.0.2.1');
  }
  t.same(waits, [125, 250, 500, 1000, 2000, 2000, 2000], 'the first three at once');
  await limiter.slowDown('192.0.2.2');
  t.equal(waits.length, 7, 'another address does not wait');

  release = Promise.withResolvers();
  const waiting = Array.from({ length: 300 }, () => limiter.slowDown('192.0.2.1'));
  t.equal(waits.length, 207, 'beyond two hundred none waits');
  release.resolve();
  await Promise.all(waiting);
  await limiter.slowDown('192.0.2.1');
  t.equal(waits.length, 208, 'and then there is room again');
});

t.test('an answer that waits keeps no connection of the pool', async (t) => {
  const { api, pool } = await testApi(t, { operators: OPERATORS });
  const ask = (name: string, remoteAddress: string) =>
    api.inject({ url: '/dashboard/queue-stats', headers: as(name), remoteAddress });
  for (let n = 0; n < 6; n++) await ask(`guess-${n}`, '192.0.2.9');
  const guess = ask('guess-6', '192.0.2.9');
  const rightful = await Promise.all(Array.from({ length: 20 }, () => ask('viewer', '192.0.2.10')));
  t.same(new Set(rightful.map(({ statusCode }) => statusCode)), new Set([200]));
  t.equal(pool.waitingCount, 0);
  t.equal(pool.idleCount, pool.totalCount, 'all are idle while the guesser still waits, or has been answered');
  t.equal((await guess).statusCode, 401);
});

t.test('the addresses of one IPv6 network count as one', async (t) => {
  const limiter = new GuessLimiter(() => 0);
  const network = ['2001:db8:1:2::1', '2001:db8:1:2:ffff::', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2:0:0:0:9'];
  for (let n = 0; n < 10; n++) limiter.count(network[n % network.length] ?? '');
  for (const ip of network) t.throws(() => limiter.refuseWhenTooMany(ip), refusal, ip);
  for (const ip of ['2001:db8:1:3::1', '::1', '2001:db8::1:2']) t.doesNotThrow(() => limiter.refuseWhenTooMany(ip), ip);
});

t.test('more addresses than can be remembered push out the oldest', async (t) => {
  const limiter = new GuessLimiter(() => 0);
  for (let n = 0; n < 10; n++) limiter.count('192.0.2.1');
  for (let n = 0; n < 10_000; n++) limiter.count(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
  t.doesNotThrow(() => limiter.refuseWhenTooMany('192.0.2.1'));
});

t.test('a guesser is slowed, and the right token from elsewhere still works', async (t) => {
  const { api } = await testApi(t, { operators: OPERATORS });
  const ask = (name: string, remoteAddress: string) =>
    api.inject({ url: '/dashboard/queue-stats', headers: as(name), remoteAddress });
  const statuses: number[] = [];
  const since = performance.now();
  for (let n = 0; n < 100; n++) statuses.push((await ask(`guess-${n}`, '192.0.2.1')).statusCode);
  t.same(new Set(statuses.slice(0, 10)), new Set([401]));
  t.ok(statuses.every((status) => status === 401 || status === 429));
  const forgiven = Math.ceil((performance.now() - since) / 6000);
  t.ok(statuses.filter((status) => status === 401).length <= 10 + forgiven, 'one more for each six seconds it took');
  t.ok(statuses.includes(429));
  const refused = await ask('viewer', '192.0.2.1');
  t.equal(refused.statusCode, 429, 'not even the right one is told apart meanwhile');
  t.ok(Number(refused.headers['retry-after']) > 0);
  t.match(refused.json(), { code: 'too_many_wrong_tokens', detail: /Try again in \d+ seconds/ });
  t.equal((await ask('viewer', '192.0.2.2')).statusCode, 200);
  t.equal((await api.inject({ url: '/health', remoteAddress: '192.0.2.1' })).statusCode, 200, 'health stays open');
});

t.test('behind a proxy on this machine the guesser is slowed, and not everybody', async (t) => {
  const { api } = await testApi(t, { operators: OPERATORS });
  const ask = (name: string, client: string) => {
    const headers = { ...as(name), 'x-forwarded-for': `203.0.113.9, ${client}` };
    return api.inject({ url: '/dashboard/queue-stats', headers });
  };
  for (let n = 0; n < 20; n++) await ask(`guess-${n}`, '192.0.2.1');
  t.equal((await ask('viewer', '192.0.2.1')).statusCode, 429);
  t.equal((await ask('viewer', '192.0.2.2')).statusCode, 200);
});

t.test('who sends no token at all guesses nothing', async (t) => {
  const { api } = await testApi(t, { operators: OPERATORS });
  const ask = (headers = {}) => api.inject({ url: '/dashboard/queue-stats', headers, remoteAddress: '192.0.2.1' });
  for (let n = 0; n < 30; n++) await ask();
  t.equal((await ask()).statusCode, 401);
  t.equal((await ask(as('viewer'))).statusCode, 200);
});

import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { LowWater } from '../../src/queue/low-water.ts';

t.test('a worker makes one claim at a time', async (t) => {
  const low = new LowWater();
  const steps: string[] = [];
  const claim = (name: string) =>
    low.claimFrom(async () => {
      steps.push(`${name} begins`);
      await turn();
      steps.push(`${name} ends`);
      return [];
    });
  await Promise.all([claim('first'), claim('second')]);
  t.same(steps, ['first begins', 'first ends', 'second begins', 'second ends']);
});

t.test('a claim that fails does not keep the next one from its turn', async (t) => {
  const low = new LowWater();
  const failed = low.claimFrom(() => Promise.reject(new Error('the database is away')));
  const next = low.claimFrom(async () => [{ priority: 1, arrival: '7' }]);
  await t.rejects(failed, /away/);
  t.same(await next, [{ priority: 1, arrival: '7' }]);
});

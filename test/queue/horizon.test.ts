import { randomUUID } from 'node:crypto';
import type { ClientBase } from 'pg';
import t from 'tap';
import { onClient } from '../../src/db/transaction.ts';
import { claim } from '../../src/queue/claim.ts';
import { type LowWater, newLowWater } from '../../src/queue/low-water.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer } from './engine.ts';

const PASSED = 3000;
const { pool } = await testDatabase(t);

type Plan = { Plan: { 'Shared Hit Blocks': number; 'Shared Read Blocks': number } };

/** Pages that a claim of one event reads. The claim is made and counted at once: EXPLAIN ANALYZE executes it. */
async function pagesOfClaim(low: LowWater): Promise<number> {
  let pages = 0;
  const explain = (client: ClientBase) => ({
    async query({ text, values }: { text: string; values: unknown[] }) {
      const { rows } = await client.query(`explain (analyze, buffers, format json) ${text}`, values);
      const { Plan: plan } = (rows[0]['QUERY PLAN'] as Plan[])[0] as Plan;
      pages = plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
      return { rows: [] };
    },
  });
  const options = { workerId: randomUUID(), limit: 1, siblings: 'each', withPayload: false } as const;
  await onClient(pool, (client) => claim(explain(client) as unknown as ClientBase, low, options));
  return pages;
}

t.test('a long transaction does not make claims slower, because they begin at the low-water mark', async (t) => {
  await arrive(pool, ['first', 'second']);
  const before = await pagesOfClaim(newLowWater());
  const pin = await pool.connect();
  await pin.query('begin isolation level repeatable read');
  await pin.query('select count(*) from tds_queue_ready');

  const claimer = new Claimer(pool);
  for (let passed = 0; passed < PASSED; passed += 200) {
    await arrive(
      pool,
      Array.from({ length: 200 }, (_, n) => `${passed + n}`),
    );
    await claimer.end(await claimer.claim({ limit: 200, siblings: 'together' }));
  }
  await arrive(pool, ['last', 'very last']);
  const atMark = await pagesOfClaim(claimer.low);
  const fromTheStart = await pagesOfClaim(newLowWater());
  await pin.query('rollback');
  pin.release();
  t.comment(`pages: ${before} before, ${atMark} at the mark, ${fromTheStart} from the start`);
  t.ok(atMark < before * 3, `${before} pages became ${atMark}`);
});

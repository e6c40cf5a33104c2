import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import t from 'tap';
import { claim } from '../../src/queue/claim.ts';
import { LowWater } from '../../src/queue/low-water.ts';
import { testDatabase } from '../helper.ts';
import { ALL_OF_EACH, arrive, Claimer, ONE_EACH } from './engine.ts';

const PASSED = 3000;
const { pool } = await testDatabase(t);

type Plan = { Plan: { 'Shared Hit Blocks': number; 'Shared Read Blocks': number } };

/** Pages that a claim of one event reads, in both of its statements. EXPLAIN ANALYZE executes them: the claim is made. */
async function pagesOfClaim(low: LowWater): Promise<number> {
  let pages = 0;
  const explain = async (client: PoolClient, { text, values }: { text: string; values: unknown[] }) => {
    const { rows } = await client.query(`explain (analyze, buffers, format json) ${text}`, values);
    const { Plan: plan } = (rows[0]['QUERY PLAN'] as Plan[])[0] as Plan;
    pages += plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
    const taken = await client.query('select entity_key from tds_queue_claims where lease = $1', [values[0]]);
    return { rows: taken.rows.map(({ entity_key }) => [entity_key]) };
  };
  const explaining = { connect: async () => intercepted(await pool.connect(), explain) } as unknown as Pool;
  const options = { workerId: randomUUID(), limit: 1, ...ONE_EACH, maxBytes: 1, from: 'head', withPayload: false } as const;
  await claim(explaining, low, options).catch(() => undefined); // the second statement's rows are a plan
  return pages;
}

function intercepted(client: PoolClient, explain: (client: PoolClient, query: never) => Promise<unknown>): PoolClient {
  const query = (given: unknown) => (typeof given === 'string' ? client.query(given) : explain(client, given as never));
  return { query, release: () => client.release() } as unknown as PoolClient;
}

t.test('a long transaction does not make claims slower, because they begin at the low-water mark', async (t) => {
  await arrive(pool, ['first', 'second']);
  const before = await pagesOfClaim(new LowWater());
  const pin = await pool.connect();
  await pin.query('begin isolation level repeatable read');
  await pin.query('select count(*) from tds_queue_waiting');

  const claimer = new Claimer(pool);
  for (let passed = 0; passed < PASSED; passed += 200) {
    await arrive(
      pool,
      Array.from({ length: 200 }, (_, n) => `${passed + n}`),
    );
    await claimer.end(await claimer.claim({ limit: 200, ...ALL_OF_EACH }));
  }
  await arrive(pool, ['last', 'very last']);
  const atMark = await pagesOfClaim(claimer.low);
  const fromTheStart = await pagesOfClaim(new LowWater());
  await pin.query('rollback');
  pin.release();
  t.comment(`pages: ${before} before, ${atMark} at the mark, ${fromTheStart} from the start`);
  t.ok(atMark < before * 3, `${before} pages became ${atMark}`);
});

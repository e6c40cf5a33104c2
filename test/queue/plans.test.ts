/**
 * How much the queue's statements read when the planner believes that nothing waits: statistics are of a moment in which
 * the queue was empty (the normal state of an idle system), then many events arrive at once.
 */
import type { Pool, PoolClient } from 'pg';
import t from 'tap';
import { openDatabase } from '../../src/db/database.ts';
import { claim } from '../../src/queue/claim.ts';
import { LowWater } from '../../src/queue/low-water.ts';
import { testDatabase } from '../helper.ts';
import { ALL_OF_EACH, arrive, Claimer } from './engine.ts';

const WAITING = 4000;
const SET = 200;
const TABLES = ['tds_sync_queue', 'tds_queue_waiting', 'tds_queue_claims', 'tds_queue_leases', 'tds_inbox_events'];

type Node = { 'Actual Rows': number; 'Actual Loops': number; Plans?: Node[] };

const { url, pool } = await testDatabase(t);

// An autoanalyze in the middle would put the statistics right.
for (const table of [...TABLES, 'tds_inbox_payloads', 'tds_dead_letter_queue']) {
  await pool.query(`alter table ${table} set (autovacuum_enabled = off)`);
}

const entities = Array.from({ length: WAITING }, (_, n) => `${n}`);

async function arriveAfterIdleness(): Promise<void> {
  await arrive(pool, entities);
  await pool.query('delete from tds_sync_queue');
  await pool.query('delete from tds_inbox_events');
  await pool.query(`analyze ${TABLES.join(', ')}, tds_inbox_payloads, tds_dead_letter_queue`);
  await arrive(pool, entities);
}

/** A pool of one session, whose plans are made now. */
function freshSession(): ReturnType<typeof openDatabase> {
  return openDatabase({ url, max: 1, applicationName: 'tds-test', byIndex: true });
}

async function rowsRead(session: Pool): Promise<number> {
  await session.query('select pg_stat_force_next_flush()');
  const { rows } = await session.query<{ n: string }>(
    'select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) as n from pg_stat_user_tables where relname = any ($1)',
    [TABLES],
  );
  return Number(rows[0]?.n);
}

t.test('a set reads the rows of its own events, not all that wait', async (t) => {
  await arriveAfterIdleness();
  const session = freshSession();
  t.teardown(() => session.close());
  const claimer = new Claimer(session.pool);
  let before = await rowsRead(session.pool);
  const count = async (what: string) => {
    const now = await rowsRead(session.pool);
    t.ok(now - before < WAITING, `${what} of ${SET} among ${WAITING} reads ${now - before} rows`);
    before = await rowsRead(session.pool);
  };

  const first = await claimer.claim({ limit: SET, ...ALL_OF_EACH });
  t.equal(first.length, SET);
  await count('a claim');
  await claimer.end(first);
  await count('an end');
  const failing = await claimer.claim({ limit: SET, ...ALL_OF_EACH });
  await count('another claim');
  await claimer.end(failing, { kind: 'failed', tag: 'UnknownError', message: 'no', permanent: true });
  await count('a deadly end');
  await session.pool.query(`update tds_sync_queue set status = 'pending' where id = any ($1::uuid[])`, [
    failing.map(({ id }) => id),
  ]);
  await count('a retry');
  await session.pool.query('delete from tds_sync_queue where id = any ($1::uuid[])', [failing.map(({ id }) => id)]);
  await count('a deletion');
});

t.test('a set is claimed in time by its size, not by the square of it', async (t) => {
  const session = freshSession();
  t.teardown(() => session.close());
  const rows = await rowsOfClaim(session.pool);
  t.ok(rows > SET && rows < SET * 50, `${rows} rows pass through the plans of a claim of ${SET}`);
});

/** Rows that leave the nodes of both plans. EXPLAIN ANALYZE executes them: the claim is made. */
async function rowsOfClaim(session: Pool): Promise<number> {
  let passed = 0;
  const explain = async (client: PoolClient, { text, values }: { text: string; values: unknown[] }) => {
    const { rows } = await client.query(`explain (analyze, timing off, format json) ${text}`, values);
    passed += rowsThrough(rows[0]['QUERY PLAN'][0].Plan);
    const taken = await client.query('select entity_key from tds_queue_claims where lease = $1', [values[0]]);
    return { rows: taken.rows.map(({ entity_key }) => [entity_key]) };
  };
  const options = { workerId: '00000000-0000-0000-0000-000000000000', limit: SET, maxBytes: 1 << 20 } as const;
  const explaining = { connect: async () => intercepted(await session.connect(), explain) } as unknown as Pool;
  await claim(explaining, new LowWater(), { ...options, ...ALL_OF_EACH, from: 'head', withPayload: false }).catch(
    () => undefined, // the second statement's rows are a plan
  );
  return passed;
}

function rowsThrough(node: Node): number {
  return (
    node['Actual Rows'] * node['Actual Loops'] + (node.Plans ?? []).reduce((sum, inner) => sum + rowsThrough(inner), 0)
  );
}

function intercepted(client: PoolClient, explain: (client: PoolClient, query: never) => Promise<unknown>): PoolClient {
  const query = (given: unknown) => (typeof given === 'string' ? client.query(given) : explain(client, given as never));
  return { query, release: () => client.release() } as unknown as PoolClient;
}

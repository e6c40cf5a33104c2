/** A handler's connection that the network swallows, without a word to either side. */
import path from 'node:path';
import { sql } from 'kysely';
import t from 'tap';
import { openDatabase } from '../../src/db/database.ts';
import { executeOne } from '../../src/worker/execute.ts';
import { FaultyProxy } from '../faults/proxy.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { arrive, Claimer, statusOf } from '../queue/engine.ts';
import { testContext } from './context.ts';

const HOUR_MS = 3_600_000;

t.test('a lost statement is noticed long before the handler’s time is up, and costs no attempt', async (t) => {
  const { url, pool } = await testDatabase(t);
  const socket = new URL(url.replace('@/', '@localhost/')).searchParams.get('host') ?? '';
  const proxy = await FaultyProxy.open(path.join(socket, '.s.PGSQL.5432'));
  const database = new URL(url.replace('@/', '@localhost/')).pathname.slice(1);
  const lossy = openDatabase({
    url: `postgresql://tds@127.0.0.1:${proxy.port}/${database}`,
    ...{ max: 2, applicationName: 'tds-test-lossy' },
  });
  t.teardown(async () => {
    await lossy.close();
    await proxy.close();
  });
  const handle = async (_: unknown, { trx }: { trx: Parameters<typeof sql>[0] }) => {
    await sql`select 'before'`.execute(trx as never);
    proxy.mode = { kind: 'blackhole' };
    await sql`select 'lost'`.execute(trx as never);
  };
  const worker = testContext(pool, [{ timeoutMs: HOUR_MS, handle: handle as never }]);
  const [id = ''] = await arrive(pool, ['a']);
  const [event] = await new Claimer(pool, worker.workerId).claim({ withPayload: true });
  if (!event) return t.fail('no event');
  await executeOne({ ...worker, handlerPool: lossy.pool }, event, new AbortController().signal);
  t.ok(proxy.hits > 0, 'the network swallowed something');
  t.equal(await statusOf(pool, id), 'pending 0');
  await waitFor('the server to have ended the session', async () => {
    const { rowCount } = await pool.query(
      `select from pg_stat_activity where application_name = 'tds-test-lossy' and state like 'idle in transaction%'`,
    );
    return rowCount === 0;
  });
});

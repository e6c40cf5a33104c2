/** The process in which a worker runs suspects. */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import t from 'tap';
import { rescue } from '../../src/queue/rescue.ts';
import { SUSPECTS_ONLY, SuspectRunner } from '../../src/worker/suspects.ts';
import { silentLog, testDatabase } from '../helper.ts';
import { childrenOf } from '../process-table.ts';
import { ALL_OF_EACH, arrive, Claimer, POLICY, registerWorker } from '../queue/engine.ts';

/** Nobody listens there: the process finds no database and would try for ever. */
const NOWHERE = 'postgresql://tds@127.0.0.1:1/tds';

t.test('it ends when its worker dies before it has begun', async (t) => {
  const child = fork('src/worker/main.ts', [SUSPECTS_ONLY, randomUUID()], {
    env: { ...process.env, DATABASE_URL: NOWHERE, HANDLERS_DIR: 'test/faults/handlers', LOG_LEVEL: 'silent' },
    stdio: 'ignore',
  });
  t.teardown(() => child.kill('SIGKILL'));
  child.disconnect();
  await once(child, 'exit');
  t.not(child.exitCode ?? child.signalCode, null);
});

t.test('it is started for a suspect that may run, and for none that waits for a retry before it', async (t) => {
  const { pool } = await testDatabase(t);
  const runner = new SuspectRunner({ pool, workerId: randomUUID(), log: silentLog });
  t.teardown(() => runner.stop());
  const isRunning = () => childrenOf(process.pid).some(({ command }) => command.includes(SUSPECTS_ONLY));

  const [firstId = ''] = await arrive(pool, ['a', 'a']);
  await new Claimer(pool, await registerWorker(pool, -1)).claim(ALL_OF_EACH);
  await rescue(pool, POLICY, 30);
  const claimer = new Claimer(pool);
  const [first] = await claimer.claim({ from: 'suspects' });
  t.equal(first?.id, firstId);
  const outcome = { kind: 'failed', tag: 'NetworkError', message: 'away', permanent: false } as const;
  if (first) await claimer.end([first], { ...outcome, retryAfterSeconds: 3600 });

  await runner.runIfAny();
  t.notOk(isRunning(), 'the second event is a suspect behind a retry in an hour');

  await pool.query('delete from tds_sync_queue where id = $1', [firstId]);
  await runner.runIfAny();
  t.ok(isRunning(), 'nothing is before it any more');
});

/** The process in which a worker runs suspects. */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import t from 'tap';
import { SUSPECTS_ONLY } from '../../src/worker/suspects.ts';

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

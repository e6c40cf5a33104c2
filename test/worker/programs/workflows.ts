/** A worker with a workflow of five pages. Arguments: the point at which it kills itself, and in which page. */
import { environmentConfig } from '../../../src/config.ts';
import { createLogger } from '../../../src/log.ts';
import { runProcess } from '../../../src/shutdown.ts';
import { createWorker } from '../../../src/worker/worker.ts';
import { Workflows } from '../../../src/workflows/registry.ts';
import { pages } from '../../workflows/engine.ts';

const [point, inPage] = process.argv.slice(2);
const config = environmentConfig();
const log = createLogger('tds-core-worker', 'info');

function dieAt(here: string, page: number): void {
  if (here === point && page === Number(inPage)) process.kill(process.pid, 'SIGKILL');
}

const definition = pages('FivePages', 5, {
  fetch(page, run) {
    run.log.info({ page }, 'fetching');
    dieAt('fetch', page);
    // Until it is paused, terminated or stopped.
    if (point === 'hang' && page === Number(inPage)) return new Promise((_, reject) => follow(run.signal, reject));
  },
  write: (page) => dieAt('write', page),
});

function follow(signal: AbortSignal, reject: (reason: unknown) => void): void {
  signal.addEventListener('abort', () => reject(signal.reason));
}

const worker = await createWorker({ ...config, databaseUrl: String(config.databaseUrl) }, log, () => {
  return new Workflows([definition], ['10']);
});
await runProcess([worker], { log, deadlineMs: 20_000 });

/** The process tds-core-worker. */
import { describeConfig, processConfig } from '../config.ts';
import { createLogger, exitOnFatalErrors } from '../log.ts';
import { notifySystemd } from '../systemd.ts';
import { createWorker } from './worker.ts';

const LEAK_CHECK_MS = 1000;
const EX_CONFIG = 78;
const EX_TEMPFAIL = 75;

const config = processConfig();
const log = createLogger('tds-core-worker', config.logLevel);
exitOnFatalErrors(log);
const { databaseUrl } = config;
if (!databaseUrl) {
  process.stderr.write('DATABASE_URL is not set: set it, or use npm start, which brings a database.\n');
  process.exit(EX_CONFIG);
}

const worker = await createWorker({ ...config, databaseUrl }, log);
log.info({ component: 'process', config: describeConfig(config) }, 'starting');

let stopping = false;
const stop = async (reason: string, exitCode: number) => {
  if (stopping) return;
  stopping = true;
  log.info({ component: 'process', reason }, 'stopping');
  await notifySystemd(process.env, 'STOPPING=1');
  await worker.stop(config.drainSeconds * 1000);
  log.info({ component: 'process' }, 'stopped');
  process.exit(exitCode);
};
process.on('SIGTERM', () => stop('SIGTERM', 0));
process.on('SIGINT', () => stop('SIGINT', 0));
process.on('disconnect', () => stop('parent gone', 0));
// A handler that ignores its time-out cannot be stopped, only left behind: the next process starts clean.
setInterval(() => {
  if (worker.leaks() >= config.workerConcurrency) void stop('too many handlers ignored their time-out', EX_TEMPFAIL);
}, LEAK_CHECK_MS).unref();

await worker.start();
await notifySystemd(process.env, 'READY=1');

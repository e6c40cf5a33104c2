/** The process tds-core-worker. */
import { describeConfig, EXIT_CONFIG, processConfig, systemdEnvironment } from '../config.ts';
import { createLogger, exitOnFatalErrors } from '../log.ts';
import { runProcess } from '../shutdown.ts';
import { notifySystemd } from '../systemd.ts';
import { leaked } from './run-handlers.ts';
import { createWorker } from './worker.ts';

const LEAK_CHECK_MS = 1000;
const AFTER_DRAIN_MS = 5000;

const config = processConfig('worker');
const log = createLogger('tds-core-worker', config.logLevel);
exitOnFatalErrors(log);
const { databaseUrl } = config;
if (!databaseUrl) {
  process.stderr.write('DATABASE_URL is not set: set it, or use npm start, which brings a database.\n');
  process.exit(EXIT_CONFIG);
}

log.info({ component: 'process', config: describeConfig(config) }, 'starting');
const worker = await createWorker({ ...config, databaseUrl }, log);
const systemd = {
  name: 'systemd',
  start: () => notifySystemd(systemdEnvironment(), 'READY=1'),
  stop: () => notifySystemd(systemdEnvironment(), 'STOPPING=1'),
};
const lifecycle = await runProcess([worker, systemd], {
  log,
  deadlineMs: config.drainSeconds * 1000 + AFTER_DRAIN_MS,
});

// A handler that ignores its time-out cannot be stopped, only left behind: the next process starts clean.
setInterval(async () => {
  if (leaked.size < config.workerConcurrency) return;
  await lifecycle.stop('too many handlers ignored their time-out');
  process.exit(1);
}, LEAK_CHECK_MS).unref();

/** The process tds-core-worker. */
import { describeConfig, EXIT_CONFIG, environmentConfig, processConfig, systemdEnvironment } from '../config.ts';
import { createLogger } from '../log.ts';
import { zohoCalls } from '../monitor/prometheus/observers.ts';
import { startReporting } from '../monitor/sentry/start.ts';
import { type Part, runProcess } from '../shutdown.ts';
import { syncWorkflows } from '../sync/definitions.ts';
import { notifySystemd } from '../systemd.ts';
import { startTracing } from '../tracing/start.ts';
import { createClients } from '../zoho/client/clients.ts';
import { containErrors } from './containment.ts';
import { guardExit } from './exit-guard.ts';
import { leaked } from './run-handlers.ts';
import { SUSPECTS_ONLY } from './suspects.ts';
import { createSuspectWorker, createWorker } from './worker.ts';

const LEAK_CHECK_MS = 1000;
const AFTER_DRAIN_MS = 5000;
/** Suspects come in waves, as those before them end: starting a process for each wave costs more than the suspects. */
const LINGER_MS = 10_000;

const [only, suspectsWorkerId] = process.argv.slice(2);
const isForSuspects = only === SUSPECTS_ONLY && suspectsWorkerId !== undefined;
const config = isForSuspects ? environmentConfig() : processConfig('worker');
const log = createLogger('tds-core-worker', config.logLevel);
containErrors(log);
guardExit();
const url = config.databaseUrl as string;
if (!url) {
  process.stderr.write('DATABASE_URL is not set: set it, or use npm start, which brings a database.\n');
  process.exit(EXIT_CONFIG);
}

const tracing = await startTracing(config, 'tds-core-worker', log);
await startReporting(config, 'tds-core-worker', log);
const parts = [tracing, ...(isForSuspects ? await forSuspects(suspectsWorkerId) : await ordinary())];
// `npm start`, or the worker whose suspects we run, is gone: nobody else would stop us.
const endAsOrphan = () => process.kill(process.pid, 'SIGTERM');
process.on('disconnect', endAsOrphan);
// Gone already, before anybody listened.
if (process.connected === false) endAsOrphan();
const lifecycle = await runProcess(parts, { log, deadlineMs: config.drainSeconds * 1000 + AFTER_DRAIN_MS });

// A handler that ignores its time-out cannot be stopped, only left behind: the next process starts clean.
setInterval(async () => {
  if (leaked.size < config.workerConcurrency) return;
  await lifecycle.stop('too many handlers ignored their time-out');
  process.exit(1);
}, LEAK_CHECK_MS).unref();

async function ordinary(): Promise<Part[]> {
  log.info({ component: 'process', config: describeConfig(config) }, 'starting');
  const systemd = {
    name: 'systemd',
    start: () => notifySystemd(systemdEnvironment(), 'READY=1'),
    stop: () => notifySystemd(systemdEnvironment(), 'STOPPING=1'),
  };
  const worker = await createWorker(
    { ...config, databaseUrl: url },
    log,
    (db, metrics) => syncWorkflows(db, config, zohoCalls(metrics)),
    (db, metrics) => createClients(db, config, { onCall: zohoCalls(metrics) }),
  );
  return [worker, systemd];
}

async function forSuspects(workerId: string): Promise<Part[]> {
  const end = (idleMs: number) => idleMs >= LINGER_MS && process.kill(process.pid, 'SIGTERM');
  return [await createSuspectWorker({ ...config, databaseUrl: url }, log, workerId, end)];
}

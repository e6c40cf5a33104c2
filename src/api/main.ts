/** The process tds-core-api: put everything together, listen, and on a signal stop without breaking a request. */

import { noteSecrets } from '../access/secrets.ts';
import { describeConfig, EXIT_CONFIG, orExit, processConfig } from '../config.ts';
import { openDatabase } from '../db/database.ts';
import { Inbox } from '../inbox/store.ts';
import { createLogger, exitOnFatalErrors } from '../log.ts';
import { alertsWithoutWorker } from '../monitor/alerts/stand-in.ts';
import { PATIENCE_MS } from '../monitor/health.ts';
import { DatabaseWatch, probeOf } from '../monitor/notify/database-watch.ts';
import { notifier } from '../monitor/notify/notifier.ts';
import { statementsOf, zohoCalls } from '../monitor/prometheus/observers.ts';
import { ProcessMetrics } from '../monitor/prometheus/process-metrics.ts';
import { startReporting } from '../monitor/sentry/start.ts';
import { OutageLog } from '../outage-log.ts';
import { runProcess } from '../shutdown.ts';
import { syncWorkflows } from '../sync/definitions.ts';
import { inheritedSocket, notifySystemd, pingSystemd } from '../systemd.ts';
import { startTracing } from '../tracing/start.ts';
import { organizationsOf } from '../zoho/organizations/organizations.ts';
import { buildApp, type Deps } from './app.ts';
import { drain, listen } from './server.ts';

// Two statements at once are all the inbox ever has on its way; the rest is for repeats.
const INBOX_CONNECTIONS = 4;
// A sender gives up after some seconds: better a 503 that it can repeat than a lock it waits for.
const INTAKE_STATEMENT_TIMEOUT_MS = 3000;
const OPERATORS_STATEMENT_TIMEOUT_MS = 5000;
/** Beyond the drain: closing pools and telling systemd. */
const STOP_MARGIN_MS = 5000;

const config = processConfig('api');
orExit(() => organizationsOf(config));
const log = createLogger('tds-core-api', config.logLevel);
exitOnFatalErrors(log);
const { databaseUrl: url } = config;
if (!url) {
  process.stderr.write('DATABASE_URL is not set: set it, or use npm start, which brings a database.\n');
  process.exit(EXIT_CONFIG);
}
const tracing = await startTracing(config, 'tds-core-api', log);
const reportError = await startReporting(config, 'tds-core-api', log);
// For what systemd tells this process; settings come from config.ts alone.
const { env } = process;

// Both pools lose the same server: one line for both.
const outage = new OutageLog('database', log);
const metrics = new ProcessMetrics();
const intake = openDatabase({
  url,
  max: INBOX_CONNECTIONS,
  applicationName: 'tds-core-api inbox',
  statementTimeoutMs: INTAKE_STATEMENT_TIMEOUT_MS,
  queryTimeoutMs: INTAKE_STATEMENT_TIMEOUT_MS + 500,
  onStatement: statementsOf(metrics, 'inbox'),
  outage,
});
const operators = openDatabase({
  url,
  max: config.poolSize + config.maxOverflow,
  applicationName: 'tds-core-api',
  statementTimeoutMs: OPERATORS_STATEMENT_TIMEOUT_MS,
  onStatement: statementsOf(metrics, 'operators'),
  outage,
});
const inbox = new Inbox(intake.pool, log);
const api = await buildApp({
  config,
  log,
  reportError,
  metrics,
  probe: probeOf(url, PATIENCE_MS),
  db: operators.db,
  pool: operators.pool,
  workflows: syncWorkflows(operators.db, config, zohoCalls(metrics)),
  inbox: config.crashAt === 'before_ack' ? fatal(inbox) : inbox,
  // The launcher of `npm start` holds an IPC channel to its children; systemd sets NOTIFY_SOCKET (Type=notify).
  supervisor: process.connected ? 'npm start' : env.NOTIFY_SOCKET ? 'systemd' : 'none',
});
const drainMs = config.drainSeconds * 1000;

// `npm start` holds an IPC channel: when it is gone, so is whoever would stop us.
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
await runProcess(
  [
    tracing,
    { name: 'database', stop: () => Promise.all([intake.close(), operators.close()]) },
    pingSystemd(env, (error) => log.warn({ component: 'process', error }, 'systemd could not be told')),
    alertsWithoutWorker(operators.db, log, config),
    notifier(operators.db, log, config),
    new DatabaseWatch({
      ...{ db: operators.db, log, config, probe: probeOf(url) },
      thresholdSeconds: config.alertThresholds.database_away,
    }),
    { name: 'http', start: open, stop: () => drain(api, drainMs) },
    { name: 'systemd', start: () => notifySystemd(env, 'READY=1'), stop: () => notifySystemd(env, 'STOPPING=1') },
  ],
  { log, deadlineMs: drainMs + STOP_MARGIN_MS },
);

async function open(): Promise<void> {
  const at = await listen(api, inheritedSocket(env) ?? config);
  log.info({ component: 'process', url: at + config.basePath, config: describeConfig(config) }, 'listening');
  // While the database is away or not migrated, the next start notes them.
  await noteSecrets(operators.db, config).catch((error) =>
    log.debug({ component: 'process', error }, 'secrets not noted'),
  );
}

/** For the fault tests: dies between COMMIT and the answer. */
function fatal(inbox: Inbox): Deps['inbox'] {
  return {
    async accept(arrival) {
      const accepted = await inbox.accept(arrival);
      process.kill(process.pid, 'SIGKILL');
      return accepted;
    },
  };
}

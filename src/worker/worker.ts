import { randomUUID } from 'node:crypto';
import { type Config, logsToJournal, systemdEnvironment } from '../config.ts';
import { type Database, openDatabase } from '../db/database.ts';
import { loadHandlers } from '../handlers/load.ts';
import { mirror } from '../handlers/mirror.ts';
import { Registry } from '../handlers/registry.ts';
import type { Logger } from '../log.ts';
import { notifier } from '../monitor/notify/notifier.ts';
import { CounterWriter } from '../monitor/prometheus/counter-writer.ts';
import { statementsOf } from '../monitor/prometheus/observers.ts';
import { ProcessMetrics } from '../monitor/prometheus/process-metrics.ts';
import { OutageLog } from '../outage-log.ts';
import { createDispatcher, dispatchByPostgres } from '../queue/dispatch.ts';
import { pause } from '../queue/pause.ts';
import { sessionsOf } from '../queue/rescue.ts';
import type { Part } from '../shutdown.ts';
import { WORKFLOWS_CHANNEL } from '../workflows/held.ts';
import { Workflows } from '../workflows/registry.ts';
import type { ZohoClient } from '../zoho/client/client.ts';
import type { CrashPoint, WorkerContext } from './context.ts';
import { Heartbeat } from './heartbeat.ts';
import { Loop } from './loop.ts';
import { RefetchLoop } from './refetch-loop.ts';
import { Schedule } from './schedule.ts';
import { SuspectRunner } from './suspects.ts';
import { Sweep } from './sweep.ts';
import { defaultWatchdogSeconds, watchdog } from './watchdog.ts';
import { WorkflowLoop } from './workflow-loop.ts';

export type WorkerConfig = Config & { databaseUrl: string };

/** Claims by two lanes, ends without effects, sweeps, schedule: a few at once, each of them short. */
const QUEUE_CONNECTIONS = 6;
const QUEUE_STATEMENT_MS = 8000;
/** Handlers' connections beyond WORKER_CONCURRENCY: two lanes of sets. */
const LANES = 2;

/** Statements of workflows: comparing whole modules takes longer than any statement of the queue. */
const WORKFLOW_STATEMENT_MS = 60_000;

/**
 * Puts a worker together: its pools, its heartbeat, the claim loops, sweeps and schedule.
 * @param defineWorkflows the workflows it runs, over their own pool; default: none
 * @param connect the clients of the organizations whose records it fetches alone, over the same pool; default: none
 */
export async function createWorker(
  config: WorkerConfig,
  log: Logger,
  defineWorkflows: (db: Database, metrics: ProcessMetrics) => Workflows = () => new Workflows([], []),
  connect: (db: Database, metrics: ProcessMetrics) => ReadonlyMap<string, ZohoClient> = () => new Map(),
): Promise<Part> {
  const { context, queue, close } = await createContext(config, log, randomUUID());
  const dog = createWatchdog(config, context);
  const loop = new Loop(context, { concurrency: config.workerConcurrency });
  const runs = openRuns(config, context);
  const workflows = defineWorkflows(runs.db, context.metrics);
  const concurrency = config.workflowConcurrency;
  const workflowLoop = new WorkflowLoop(context, { queue, runs, workflows, concurrency });
  const clients = connect(runs.db, context.metrics);
  const refetchLoop = new RefetchLoop(context, { db: runs.db, pool: runs.pool, clients });
  const suspects = new SuspectRunner(context);
  const heartbeat = createHeartbeat(config, context, loop, workflowLoop, [workflowLoop, refetchLoop, suspects]);
  const { leaseSeconds } = config;
  const ofRuns = { db: queue, loop: workflowLoop };
  const sweep = new Sweep({ context, loop, heartbeat, leaseSeconds, suspects, workflows: ofRuns });
  const schedule = new Schedule(context, queue, config, workflows);
  const notifying = notifier(queue, log, config);
  const counters = new CounterWriter({ db: queue, metrics: context.metrics, service: 'tds-core-worker' });
  return {
    name: 'worker',
    waitsFor: () => `${loop.inFlight} events and ${workflowLoop.inFlight} workflows in hand`,
    async start() {
      await dog.start?.();
      await heartbeat.start();
      if (config.startPaused === '1')
        await pause(queue, 'TDS_START_PAUSED', 'a worker started with TDS_START_PAUSED=1');
      loop.start();
      workflowLoop.start();
      refetchLoop.start();
      sweep.start();
      await schedule.start();
      notifying.start?.();
      counters.start();
      const names = context.registry.handlers.map(({ name }) => name);
      log.info({ component: 'worker', worker_id: context.workerId, handlers: names }, 'worker started');
    },
    /** Drains for DRAIN_SECONDS; what is not done by then is given back uncharged. */
    async stop() {
      heartbeat.draining = true;
      await schedule.stop();
      await notifying.stop?.();
      const drainMs = config.drainSeconds * 1000;
      await Promise.all([loop.stop(drainMs), workflowLoop.stop(drainMs), refetchLoop.stop()]).finally(async () => {
        await sweep.stop();
        await heartbeat.stop();
        await counters.stop();
        await Promise.all([close(), runs.close()]);
        await dog.stop?.();
      });
    },
  };
}

/**
 * A worker that runs suspects only: see suspects.ts.
 * @param onIdle called when it finds none, with the milliseconds since it last ran one
 */
export async function createSuspectWorker(
  config: WorkerConfig,
  log: Logger,
  workerId: string,
  onIdle: (idleMs: number) => void,
): Promise<Part> {
  const { context, close } = await createContext({ ...config, queueDriver: 'postgres' }, log, workerId);
  const dog = createWatchdog(config, context);
  const loop = new Loop(context, { concurrency: config.workerConcurrency, from: 'suspects', onIdle });
  const heartbeat = createHeartbeat(config, context, loop);
  return {
    name: 'suspects',
    async start() {
      await dog.start?.();
      await heartbeat.start();
      loop.start();
    },
    async stop() {
      await loop.stop(config.drainSeconds * 1000).finally(async () => {
        await heartbeat.stop();
        await close();
        await dog.stop?.();
      });
    },
  };
}

async function createContext(config: WorkerConfig, log: Logger, workerId: string) {
  const { databaseUrl: url, workerConcurrency, poolSize, maxOverflow } = config;
  const handlers = [mirror, ...(config.handlersDir ? await loadHandlers(config.handlersDir, log) : [])];
  const applicationName = sessionsOf(workerId);
  const outage = new OutageLog('database', log);
  const metrics = new ProcessMetrics();
  const queue = openDatabase({
    url,
    max: QUEUE_CONNECTIONS,
    applicationName,
    statementTimeoutMs: QUEUE_STATEMENT_MS,
    byIndex: true,
    log,
    outage,
    onStatement: statementsOf(metrics, 'queue'),
  });
  const forHandlers = openDatabase({
    ...{ url, applicationName, byIndex: true, log, outage, onStatement: statementsOf(metrics, 'handlers') },
    max: Math.max(poolSize + maxOverflow - QUEUE_CONNECTIONS, workerConcurrency + LANES),
  });
  const context: WorkerContext = {
    ...{ workerId, log, metrics, outage, pool: queue.pool, handlerPool: forHandlers.pool },
    dispatcher:
      config.queueDriver === 'postgres'
        ? dispatchByPostgres(queue.pool)
        : await createDispatcher({ ...config, pool: queue.pool, workerId, log }),
    registry: new Registry(handlers),
    policy: {
      maxAttempts: config.maxAttempts,
      baseSeconds: config.retryBaseSeconds,
      maxSeconds: config.retryMaxSeconds,
    },
    crash: (point: CrashPoint) => {
      if (config.crashAt === point) process.kill(process.pid, 'SIGKILL');
    },
  };
  return { context, queue: queue.db, close: () => Promise.all([queue.close(), forHandlers.close()]) };
}

/** Two connections for each run: one in its activity's transaction, one for what it reads beside it; as many for refetches. */
function openRuns({ databaseUrl, workflowConcurrency }: WorkerConfig, context: WorkerContext) {
  const { workerId, log, outage, metrics } = context;
  return openDatabase({
    ...{ url: databaseUrl, log, ...(outage && { outage }), onStatement: statementsOf(metrics, 'workflows') },
    max: workflowConcurrency * 2 + 4,
    applicationName: sessionsOf(workerId),
    statementTimeoutMs: WORKFLOW_STATEMENT_MS,
    queryTimeoutMs: WORKFLOW_STATEMENT_MS + 2000,
    idleInTransactionTimeoutMs: WORKFLOW_STATEMENT_MS,
  });
}

function createHeartbeat(
  config: WorkerConfig,
  { workerId, log, outage }: WorkerContext,
  loop: Loop,
  workflows?: WorkflowLoop,
  drainable: { drained: boolean }[] = [],
): Heartbeat {
  return new Heartbeat({
    ...{
      url: config.databaseUrl,
      workerId,
      leaseSeconds: config.leaseSeconds,
      concurrency: config.workerConcurrency,
      log,
      outage,
    },
    inFlight: () => loop.inFlight,
    onWake(channel) {
      if (channel !== WORKFLOWS_CHANNEL) loop.wake();
      if (channel === undefined || channel === WORKFLOWS_CHANNEL) workflows?.wake();
    },
    onLeaseLost() {
      loop.loseLeases();
      workflows?.loseLeases();
    },
    onDrained(by) {
      for (const part of [loop, ...drainable]) part.drained = by !== null;
      const line = { component: 'worker', worker_id: workerId, ...(by !== null && { drained_by: by }) };
      if (by !== null) log.info(line, 'drained: finishes what it holds and claims nothing more');
      else log.info(line, 'claims again');
      loop.wake();
      workflows?.wake();
    },
  });
}

function createWatchdog(
  { watchdogSeconds, leaseSeconds, databaseUrl }: WorkerConfig,
  { workerId, log }: WorkerContext,
): Part {
  const seconds = watchdogSeconds ?? defaultWatchdogSeconds(leaseSeconds);
  return watchdog({ ...{ seconds, workerId, databaseUrl, log }, journald: logsToJournal(), env: systemdEnvironment() });
}

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { Health } from '../monitor/health.ts';
import { RejectionCounter } from '../monitor/rejections.ts';
import { localUrl } from './base-path.ts';
import { limitBodies } from './body-budget.ts';
import type { Api, Deps } from './deps.ts';
import { authorize } from './plugins/auth.ts';
import { limitConnections } from './plugins/connections.ts';
import { refuseInfiniteNumbers } from './plugins/finite-numbers.ts';
import { addHeaders, requestId } from './plugins/headers.ts';
import { readJsonBodies } from './plugins/json-bodies.ts';
import { answerProblems, sendProblem } from './plugins/problems.ts';
import { limitRates } from './plugins/rate-limit.ts';
import { countRequests } from './plugins/request-counts.ts';
import { logRequests } from './plugins/request-log.ts';
import { watchRoutes } from './plugins/route-table.ts';
import { answerSocketErrors } from './plugins/socket-errors.ts';
import { describeApi, serveDocs } from './plugins/swagger.ts';
import { traceRequests } from './plugins/trace-requests.ts';
import { adminEventRoutes } from './routes/admin-events.ts';
import { consoleRoutes } from './routes/console.ts';
import { activityRoutes } from './routes/dashboard-activity.ts';
import { alertRoutes } from './routes/dashboard-alerts.ts';
import { auditRoutes } from './routes/dashboard-audit.ts';
import { changeRoutes } from './routes/dashboard-changes.ts';
import { completenessRoutes } from './routes/dashboard-completeness.ts';
import { deadLetterDiscardRoutes } from './routes/dashboard-dead-letter-discard.ts';
import { deadLetterEditRoutes } from './routes/dashboard-dead-letter-edit.ts';
import { deadLetterGroupRoutes } from './routes/dashboard-dead-letter-groups.ts';
import { deadLetterRoutes } from './routes/dashboard-dead-letters.ts';
import { digestRoutes } from './routes/dashboard-digest.ts';
import { doctorRoutes } from './routes/dashboard-doctor.ts';
import { errorRoutes } from './routes/dashboard-errors.ts';
import { eventRoutes } from './routes/dashboard-events.ts';
import { exportRoutes } from './routes/dashboard-export.ts';
import { fieldDriftRoutes } from './routes/dashboard-field-drift.ts';
import { findEventRoutes } from './routes/dashboard-find-events.ts';
import { healthDetailRoutes } from './routes/dashboard-health.ts';
import { metricsRoutes } from './routes/dashboard-metrics.ts';
import { queueRoutes } from './routes/dashboard-queue.ts';
import { rejectionRoutes } from './routes/dashboard-rejections.ts';
import { retryRunRoutes } from './routes/dashboard-retry-runs.ts';
import { sessionRoutes } from './routes/dashboard-session.ts';
import { storyRoutes } from './routes/dashboard-stories.ts';
import { syncRoutes } from './routes/dashboard-sync.ts';
import { tokenRoutes } from './routes/dashboard-tokens.ts';
import { whoamiRoutes } from './routes/dashboard-whoami.ts';
import { workerRoutes } from './routes/dashboard-workers.ts';
import { workflowDeedRoutes } from './routes/dashboard-workflow-deeds.ts';
import { workflowRoutes } from './routes/dashboard-workflows.ts';
import { healthRoutes } from './routes/health.ts';
import { jobRoutes } from './routes/jobs.ts';
import { prometheusRoutes } from './routes/prometheus.ts';
import { webhookRoutes } from './routes/webhooks.ts';

export type { Api, Deps } from './deps.ts';

/** Builds the API. It neither listens nor reads the environment: all it knows is in `deps`. */
export async function buildApp(deps: Deps): Promise<Api> {
  const { config, log } = deps;
  const api = createInstance(deps);
  limitConnections(api, config.bodyLimit);

  // The order matters: headers and log lines also for refusals, and every route seen by the watcher.
  const allowedMethods = watchRoutes(api);
  addHeaders(api);
  logRequests(api, log);
  const counters = countRequests(api, deps);
  traceRequests(api);
  await limitRates(api, config.rateLimitPerMinute);
  authorize(api, deps);
  limitBodies(api);
  readJsonBodies(api);
  refuseInfiniteNumbers(api);
  answerProblems(api, deps, allowedMethods);
  await describeApi(api, config.basePath);

  const health = new Health(deps);
  healthRoutes(api, deps, health);
  healthDetailRoutes(api, deps, health);
  const rejections = new RejectionCounter(deps.db);
  api.addHook('onClose', () => rejections.write().catch(() => {}));
  await webhookRoutes(api, deps, rejections);
  rejectionRoutes(api, deps, rejections);
  metricsRoutes(api, deps);
  prometheusRoutes(api, deps, counters);
  eventRoutes(api, deps);
  deadLetterRoutes(api, deps);
  deadLetterDiscardRoutes(api, deps);
  await deadLetterEditRoutes(api, deps);
  alertRoutes(api, deps);
  digestRoutes(api, deps);
  activityRoutes(api, deps);
  deadLetterGroupRoutes(api, deps);
  findEventRoutes(api, deps);
  workflowRoutes(api, deps);
  workflowDeedRoutes(api, deps);
  changeRoutes(api, deps);
  completenessRoutes(api, deps);
  errorRoutes(api, deps);
  syncRoutes(api, deps);
  storyRoutes(api, deps);
  fieldDriftRoutes(api, deps);
  whoamiRoutes(api, deps);
  sessionRoutes(api, deps);
  tokenRoutes(api, deps);
  retryRunRoutes(api, deps);
  queueRoutes(api, deps);
  jobRoutes(api, deps);
  workerRoutes(api, deps);
  auditRoutes(api, deps);
  exportRoutes(api, deps);
  doctorRoutes(api, deps);
  adminEventRoutes(api, deps);
  await consoleRoutes(api, deps);
  await serveDocs(api, config.basePath);
  return api;
}

const DASHBOARD_BODY_LIMIT = 64 * 1024;

function createInstance(deps: Deps): Api {
  const { config, log } = deps;
  return Fastify({
    // We write our own line per request; Fastify's logger would cost a child logger each.
    logger: false,
    bodyLimit: DASHBOARD_BODY_LIMIT,
    // Both are unlimited by default: a sender of one byte a minute would hold its connection for ever.
    requestTimeout: 15_000,
    connectionTimeout: 75_000,
    // Longer than the proxy's 60 s, so that it is the proxy that closes first and never meets a closing socket.
    keepAliveTimeout: 65_000,
    maxRequestsPerSocket: 1000,
    // Node looks at its limits only this often; its default is 30 s.
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1000 },
    trustProxy: config.trustProxy,
    // While draining, requests are still served: server.ts closes the connections itself.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    genReqId: requestId,
    rewriteUrl: ({ url = '/' }) => localUrl(url, config.basePath),
    // The default of 100 would answer 414 to an authentic delivery; no URL can be longer than Node's 16 kB of headers.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 16_384 },
    clientErrorHandler: answerSocketErrors(log),
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request as FastifyRequest, reply as unknown as FastifyReply, deps);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
}

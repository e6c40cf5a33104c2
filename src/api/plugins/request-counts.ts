import type { FastifyReply, FastifyRequest } from 'fastify';
import { WEBHOOK_RESULTS } from '../../monitor/prometheus/counted.ts';
import { CounterWriter } from '../../monitor/prometheus/counter-writer.ts';
import type { ProcessMetrics } from '../../monitor/prometheus/process-metrics.ts';
import type { Api, Deps } from '../deps.ts';
import { causeOfAnswer } from '../webhook-rejections.ts';

/** Of others nobody should make a label. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']);

/**
 * Counts requests by route, never by path: what strangers send makes no label. Returns who adds them to the counters of
 * the fleet, from the start of the API to its end; undefined when nothing is counted.
 */
export function countRequests(api: Api, { db, metrics }: Deps): CounterWriter | undefined {
  if (!metrics) return undefined;
  const writer = new CounterWriter({ db, metrics, service: 'tds-core-api' });
  api.addHook('onReady', async () => writer.start());
  api.addHook('onClose', () => writer.stop());
  api.addHook('onResponse', (request, reply, done) => {
    countRequest(metrics, request, reply);
    if (request.routeOptions.config.role === 'webhook') countDelivery(metrics, request, reply);
    done();
  });
  return writer;
}

function countRequest(metrics: ProcessMetrics, request: FastifyRequest, reply: FastifyReply): void {
  const route = request.routeOptions.url ?? 'unmatched';
  const method = METHODS.has(request.method) ? request.method : 'OTHER';
  const status = String(reply.statusCode);
  metrics.count('http_requests_total', { method, route, status });
  metrics.observe('http_request_duration_seconds', { method, route }, reply.elapsedTime / 1000);
  if (reply.statusCode >= 400) metrics.count('http_errors_total', { method, route, status });
}

function countDelivery(metrics: ProcessMetrics, request: FastifyRequest, { statusCode }: FastifyReply): void {
  const cause = causeOfAnswer(request, statusCode);
  if (cause) metrics.count('tds_webhook_rejections_total', { cause });
  metrics.count('webhook_events_total', { result: resultOf(request, statusCode) });
}

function resultOf({ facts }: FastifyRequest, status: number): (typeof WEBHOOK_RESULTS)[number] {
  if (status >= 500) return 'failed';
  if (status >= 400) return 'rejected';
  return WEBHOOK_RESULTS.find((result) => result === facts?.outcome) ?? 'queued';
}

import rateLimit from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import type { Api } from '../deps.ts';
import { Problem } from '../problem.ts';
import { addressOf } from './guess-limiter.ts';

const HEALTH = new Set(['/health', '/livez', '/readyz']);

/**
 * At most so many requests a minute from one address, whatever it asks; more get 429 with Retry-After. Before anybody is
 * identified, because that may take a statement. Webhooks and health are never counted: no authentic delivery and no
 * supervisor can meet the limit.
 * @param perMinute 0: no limit
 */
export async function limitRates(api: Api, perMinute: number): Promise<void> {
  if (perMinute === 0) return;
  await api.register(rateLimit, { global: false });
  const count = api.createRateLimit({ max: perMinute, timeWindow: '1 minute', keyGenerator: addressOf });
  // Not async: webhooks pass here thousands of times a second, and a promise each would be felt.
  api.addHook('onRequest', (request, _reply, done) => {
    if (isExempt(request)) return done();
    count(request).then((limit) => {
      const tooMany = !limit.isAllowed && limit.isExceeded;
      done(tooMany ? refusal(limit.ttlInSeconds) : undefined);
    }, done);
  });
}

function isExempt({ routeOptions: { config, url } }: FastifyRequest): boolean {
  return config.role === 'webhook' || HEALTH.has(url ?? '');
}

function refusal(seconds: number): Problem {
  const detail = `Too many requests came from your address. Try again in ${seconds} seconds.`;
  return new Problem(429, 'too_many_requests', detail, { 'retry-after': String(Math.max(1, seconds)) });
}

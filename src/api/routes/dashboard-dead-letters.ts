import { Type } from 'typebox';
import { recordAudit } from '../../monitor/audit.ts';
import { retryDeadLetter } from '../../queue/dead-letter.ts';
import { listDeadLetters } from '../../queue/inspect.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { callerOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { IdParams, Nullable, Page, Time, Uuid } from '../schemas.ts';

const DeadLetters = Type.Array(
  Type.Object({
    id: Uuid,
    original_queue_id: Uuid,
    event_type: Type.String({ examples: ['contact.created'] }),
    entity_id: Nullable(Type.String({ examples: ['460000000026049'] })),
    payload: Type.Unknown({ description: 'The record with every digit as sent; null when it could not be read.' }),
    attempt_count: Type.Integer({ examples: [3] }),
    last_error: Type.String({ examples: ['Database connection timeout'] }),
    moved_to_dlq_at: Time,
    retry_count: Type.Integer({ examples: [0] }),
    last_retry_at: Nullable(Time),
    error_tag: Type.String({ examples: ['TimeoutError'] }),
    kind: Type.Union([Type.Literal('failed'), Type.Literal('quarantined')]),
    organization_id: Type.String(),
    event_id: Uuid,
    raw_body_base64: Nullable(Type.String({ description: 'The bytes as received, of a quarantined delivery.' })),
  }),
);

const Retried = Type.Object({
  success: Type.Literal(true),
  message: Type.Literal('Event moved from DLQ to processing queue'),
  queue_id: Uuid,
});

/** What failed for good, and the way back. */
export function deadLetterRoutes(api: Api, deps: Deps): void {
  listRoute(api, deps);
  retryRoute(api, deps);
}

function listRoute(api: Api, { db }: Deps): void {
  const summary = 'Open dead letters, latest first; a page ends at 16 MB, and X-Next-Cursor leads on';
  const querystring = Type.Object(Page);
  const schema = { tags: ['dashboard'], summary, querystring, response: { 200: DeadLetters } };

  api.get('/dashboard/dead-letter', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { limit, cursor } = request.query;
    const { json, next } = await listDeadLetters(db, { limit, cursor: decodeCursor(cursor) });
    if (next) reply.header('x-next-cursor', encodeCursor(next));
    // Sent as PostgreSQL wrote it: parsing it here would cost the digits of ids and money in the payloads.
    return reply
      .type('application/json; charset=utf-8')
      .serializer(String)
      .send(json as never);
  });
}

function retryRoute(api: Api, { db }: Deps): void {
  const action = 'dead_letter.retry';
  const summary = 'Move a dead letter back to the queue';
  const schema = { tags: ['dashboard'], summary, params: IdParams, response: { 200: Retried } };

  api.post('/dashboard/dead-letter/:id/retry', { config: { role: 'operator', action }, schema }, async (request) => {
    const { name: operator } = callerOf(request);
    const target = request.params.id;
    const result = await db.transaction().execute(async (trx) => {
      const retried = await retryDeadLetter(trx, target);
      await recordAudit(trx, { operator, action, target, result: retried.outcome, requestId: request.id });
      return retried;
    });
    if (result.outcome === 'not_found') throw notFound('dead letter', 'Open ones are listed at dashboard/dead-letter.');
    if (result.outcome === 'conflict') throw notRetryable();
    return {
      success: true as const,
      message: 'Event moved from DLQ to processing queue' as const,
      queue_id: result.queueId,
    };
  });
}

function notRetryable(): Problem {
  return new Problem(
    409,
    'not_retryable',
    'It is not open any more: somebody has just retried it. Reload dashboard/dead-letter.',
  );
}

import { Type } from 'typebox';
import { retry } from '../../inbox/retry.ts';
import { act } from '../../monitor/audit.ts';
import { countDiscarded, deadLetter, deadLetters } from '../../monitor/dead-letters.ts';
import { queueStats } from '../../queue/inspect.ts';
import { decodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { pageHeaders } from '../page-headers.ts';
import { actorOf } from '../plugins/auth.ts';
import { inDiscard, inQuarantine, notFound, Problem } from '../problem.ts';
import { IdParams, Nullable, Page, Time, Uuid } from '../schemas.ts';

const DeadLetter = Type.Object({
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
  quarantined_by: Nullable(Type.String({ description: 'Who took it out of the queue: release it to let it run.' })),
  discarded_at: Nullable(Time),
  discarded_by: Nullable(Type.String({ description: 'Who discarded it: restore it to open it again.' })),
  discard_reason: Nullable(Type.String()),
  raw_body_base64: Nullable(Type.String({ description: 'The bytes as received, of a quarantined delivery.' })),
});
const DeadLetters = Type.Array(DeadLetter);

const Retried = Type.Object({
  success: Type.Literal(true),
  message: Type.Literal('Event moved from DLQ to processing queue'),
  queue_id: Uuid,
});

/** What failed for good, and the way back. */
export function deadLetterRoutes(api: Api, deps: Deps): void {
  listRoute(api, deps);
  showRoute(api, deps);
  retryRoute(api, deps);
}

function listRoute(api: Api, { db }: Deps): void {
  const summary = 'Open dead letters, latest first; X-Total-Count says how many there are, X-Next-Cursor leads on';
  const description = 'A page also ends at 16 MB. To reach all of them, go on until an answer has no X-Next-Cursor.';
  const querystring = Type.Object({
    ...Page,
    state: Type.Union([Type.Literal('open'), Type.Literal('discarded')], {
      default: 'open',
      description: 'discarded: those that can still be restored.',
    }),
  });
  const schema = { tags: ['dashboard'], summary, description, querystring, response: { 200: DeadLetters } };

  api.get('/dashboard/dead-letter', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { limit, cursor, state } = request.query;
    const after = decodeCursor('dead-letters', cursor);
    const [{ json, next }, total] = await Promise.all([
      deadLetters(db, state, { limit, after }),
      state === 'open' ? queueStats(db).then(({ dead_letter }) => dead_letter) : countDiscarded(db),
    ]);
    // Sent as PostgreSQL wrote it: parsing it here would cost the digits of ids and money in the payloads.
    return reply
      .headers(pageHeaders('dead-letters', next, total))
      .type('application/json; charset=utf-8')
      .serializer(String)
      .send(json as never);
  });
}

function showRoute(api: Api, { db }: Deps): void {
  const summary = 'One dead letter that is open or was discarded';
  const schema = { tags: ['dashboard'], summary, params: IdParams, response: { 200: DeadLetter } };
  api.get('/dashboard/dead-letter/:id', { config: { role: 'viewer' }, schema }, async ({ params }, reply) => {
    const json = await deadLetter(db, params.id);
    if (!json) throw notFound('open or discarded dead letter', 'Open ones are listed at dashboard/dead-letter.');
    return reply
      .type('application/json; charset=utf-8')
      .serializer(String)
      .send(json as never);
  });
}

function retryRoute(api: Api, { db, config }: Deps): void {
  const action = 'dead_letter.retry';
  const summary = 'Move a dead letter back to the queue';
  const schema = { tags: ['dashboard'], summary, params: IdParams, response: { 200: Retried } };

  api.post('/dashboard/dead-letter/:id/retry', { config: { role: 'operator', action }, schema }, async (request) => {
    const target = request.params.id;
    const result = await act(db, actorOf(request), {
      ...{ action, target },
      stands: ['retried'],
      run: (trx) => retry(trx, target, config.defaultOrganization),
    });
    if (result.outcome === 'not_found') throw notFound('dead letter', 'Open ones are listed at dashboard/dead-letter.');
    if (result.outcome === 'conflict') throw notRetryable();
    if (result.outcome === 'quarantined') throw inQuarantine();
    if (result.outcome === 'discarded') throw inDiscard();
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

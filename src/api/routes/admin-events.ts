import type { Transaction } from 'kysely';
import { Type } from 'typebox';
import type { Schema } from '../../db/schema.ts';
import { parseAgain } from '../../inbox/retry.ts';
import { act } from '../../monitor/audit.ts';
import { quarantine, release } from '../../queue/quarantine.ts';
import { replay } from '../../queue/replay.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { inDiscard, inQuarantine, notFound, Problem } from '../problem.ts';
import { IdParams, Reason, ReasonBody, Uuid } from '../schemas.ts';

const Done = Type.Object({ success: Type.Literal(true), message: Type.String(), event_id: Uuid });

/** What an operator does with one event: replay it, take it out of the queue, let it in again. */
export function adminEventRoutes(api: Api, deps: Deps): void {
  replayRoute(api, deps);
  quarantineRoute(api, deps);
  releaseRoute(api, deps);
}

function replayRoute(api: Api, { db, config }: Deps): void {
  const action = 'event.replay';
  const summary = 'Process an event again, whatever became of it: the same row, with fresh attempts';
  const schema = { tags: ['interventions'], summary, params: IdParams, body: ReasonBody, response: { 200: Done } };

  api.post('/api/admin/events/:id/replay', { config: { role: 'operator', action }, schema }, async (request) => {
    const { id } = request.params;
    const run = async (trx: Transaction<Schema>) => {
      await parseAgain(trx, id, config.defaultOrganization);
      return replay(trx, id);
    };
    const detail = request.body ?? {};
    const { outcome } = await act(db, actorOf(request), { action, target: id, detail, stands: ['replayed'], run });
    if (outcome === 'not_found') throw unknownEvent();
    if (outcome === 'processing') throw beingProcessed();
    if (outcome === 'quarantined') throw inQuarantine();
    if (outcome === 'discarded') throw inDiscard();
    return { success: true as const, message: 'Event set back to pending', event_id: id };
  });
}

function quarantineRoute(api: Api, { db }: Deps): void {
  const action = 'event.quarantine';
  const summary = 'Take a waiting event out of the queue, until it is released';
  const body = Type.Object({ reason: Reason });
  const schema = { tags: ['interventions'], summary, params: IdParams, body, response: { 200: Done } };

  api.post('/api/admin/events/:id/quarantine', { config: { role: 'operator', action }, schema }, async (request) => {
    const { id } = request.params;
    const { reason } = request.body;
    const actor = actorOf(request);
    const result = await act(db, actor, {
      ...{ action, target: id, detail: { reason }, stands: ['quarantined'] },
      run: (trx) => quarantine(trx, id, actor.name, reason),
    });
    if (result.outcome === 'not_found') throw unknownEvent();
    if (result.outcome === 'not_waiting') throw notWaiting(result.status);
    return { success: true as const, message: 'Event taken out of the queue', event_id: id };
  });
}

function releaseRoute(api: Api, { db }: Deps): void {
  const action = 'event.release';
  const summary = 'Let an event that was quarantined wait in the queue again';
  const schema = { tags: ['interventions'], summary, params: IdParams, body: ReasonBody, response: { 200: Done } };

  api.post('/api/admin/events/:id/release', { config: { role: 'operator', action }, schema }, async (request) => {
    const { id } = request.params;
    const { outcome } = await act(db, actorOf(request), {
      ...{ action, target: id, detail: request.body ?? {}, stands: ['released'] },
      run: (trx) => release(trx, id),
    });
    if (outcome === 'not_found') throw unknownEvent();
    if (outcome === 'not_quarantined') throw notQuarantined();
    return { success: true as const, message: 'Event waits in the queue again', event_id: id };
  });
}

const unknownEvent = () => notFound('event', 'Recent ones are listed at dashboard/recent-events.');

function beingProcessed(): Problem {
  return new Problem(
    409,
    'being_processed',
    'A worker has this event in hand. Wait until it has ended, then try again.',
  );
}

function notWaiting(status: string): Problem {
  const detail = `Only an event that waits can be taken out of the queue, and this one is in ${status}.`;
  return new Problem(409, 'not_waiting', detail);
}

function notQuarantined(): Problem {
  return new Problem(
    409,
    'not_quarantined',
    'No operator took this event out of the queue: there is nothing to release.',
  );
}

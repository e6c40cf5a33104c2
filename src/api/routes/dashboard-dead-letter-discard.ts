import { Type } from 'typebox';
import { act } from '../../monitor/audit.ts';
import { discard, discardSome, restore } from '../../queue/discard.ts';
import { planRetry, type Selection } from '../../queue/retry-runs/selection.ts';
import { NOTHING_ELSE, PlanSchema, SELECTION, selectionOf } from '../dead-letter-selection.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { DryRun, IdParams, Reason, ReasonBody, Uuid } from '../schemas.ts';

const tags = ['interventions'];
const Done = Type.Object({ success: Type.Literal(true), message: Type.String(), event_id: Uuid });

/** Takes dead letters that nobody needs out of the queue; they can be restored for 30 days. */
export function deadLetterDiscardRoutes(api: Api, deps: Deps): void {
  discardRoute(api, deps);
  restoreRoute(api, deps);
  discardManyRoute(api, deps);
}

function discardRoute(api: Api, { db }: Deps): void {
  const action = 'dead_letter.discard';
  const summary = 'Discard a dead letter; for 30 days it can be restored';
  const body = Type.Object({ reason: Reason });
  const schema = { tags, summary, params: IdParams, body, response: { 200: Done } };
  api.post('/dashboard/dead-letter/:id/discard', { config: { role: 'operator', action }, schema }, async (request) => {
    const { id } = request.params;
    const { reason } = request.body;
    const actor = actorOf(request);
    const { outcome } = await act(db, actor, {
      ...{ action, target: id, detail: { reason }, stands: ['discarded'] },
      run: (trx) => discard(trx, id, actor.name, reason),
    });
    if (outcome === 'not_found') throw notFound('dead letter', 'Open ones are listed at dashboard/dead-letter.');
    if (outcome === 'not_open')
      throw new Problem(409, 'not_open', 'It is not open any more. Reload dashboard/dead-letter.');
    return { success: true as const, message: 'Dead letter discarded', event_id: id };
  });
}

function restoreRoute(api: Api, { db }: Deps): void {
  const action = 'dead_letter.restore';
  const summary = 'Open a discarded dead letter again, as it was';
  const schema = { tags, summary, params: IdParams, body: ReasonBody, response: { 200: Done } };
  api.post('/dashboard/dead-letter/:id/restore', { config: { role: 'operator', action }, schema }, async (request) => {
    const { id } = request.params;
    const result = await act(db, actorOf(request), {
      ...{ action, target: id, detail: request.body ?? {}, stands: ['restored'] },
      run: (trx) => restore(trx, id),
    });
    if (result.outcome === 'not_found')
      throw notFound('discarded dead letter', 'They are listed at dashboard/dead-letter?state=discarded for 30 days.');
    if (result.outcome === 'edited') throw wasEdited(result.eventId);
    if (result.outcome === 'not_discarded')
      throw new Problem(409, 'not_discarded', 'This dead letter is not discarded: there is nothing to restore.');
    return { success: true as const, message: 'Dead letter is open again', event_id: id };
  });
}

function wasEdited(eventId: string): Problem {
  const detail = `It was edited, and event ${eventId} runs in its place. If that one is dead, edit or retry that one.`;
  return new Problem(409, 'edited', detail);
}

const Request = Type.Object(
  { ...SELECTION, reason: Reason },
  {
    ...NOTHING_ELSE,
    description: 'One of ids, filter and group.',
    examples: [{ filter: { kind: 'quarantined' }, reason: 'a test of the sender' }],
  },
);
const Discarded = Type.Object({
  discarded: Type.Integer({ examples: [120] }),
  finished: Type.Boolean({ description: 'false: there are more; ask again.' }),
});
const MOST_MS = 5000;

function discardManyRoute(api: Api, { db }: Deps): void {
  const action = 'dead_letter.bulk_discard';
  const summary = 'Discard many dead letters, for 5 s at most; with dry_run the plan';
  const response = { 200: Type.Union([PlanSchema, Discarded]) };
  const schema = { tags, summary, querystring: DryRun, body: Request, response };
  api.post('/dashboard/dead-letter/discard', { config: { role: 'operator', action }, schema }, async (request) => {
    const { reason, ...asked } = request.body;
    const selection = await selectionOf(db, asked);
    // How many attempts a permanent cause took makes no difference here.
    if (request.query.dry_run) return planRetry(db, selection, 0);
    const actor = actorOf(request);
    const done = await discardMany(db, selection, actor.name, reason);
    // Written afterwards, because it runs in many transactions; each dead letter says itself by whom and why.
    await act(db, actor, {
      ...{ action, target: null, detail: { ...asked, reason, ...done }, stands: ['discarded'] },
      run: async () => ({ outcome: 'discarded' }),
    });
    return done;
  });
}

async function discardMany(db: Deps['db'], selection: Selection, operator: string, reason: string) {
  const began = new Date();
  for (let discarded = 0; ; ) {
    const some = await db.transaction().execute((trx) => discardSome(trx, selection, began, operator, reason));
    discarded += some;
    if (some === 0 || Date.now() - began.getTime() > MOST_MS) return { discarded, finished: some === 0 };
  }
}

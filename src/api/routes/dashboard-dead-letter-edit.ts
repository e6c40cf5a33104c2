import { Type } from 'typebox';
import { type EditResult, editDeadLetter } from '../../inbox/edit.ts';
import { act } from '../../monitor/audit.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { keepDigits } from '../plugins/json-bodies.ts';
import { inQuarantine, notFound, Problem } from '../problem.ts';
import { Differences, DryRun, IdParams, Reason, Uuid } from '../schemas.ts';

// PostgreSQL's texts cannot hold NUL; what is no module, action or organization is told by the parser.
const Segment = Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\0]+$' });

const Body = Type.Object(
  {
    reason: Reason,
    record: Type.Object(
      {},
      { additionalProperties: true, description: 'The whole record as it should be; numbers keep every digit.' },
    ),
    organization_id: Type.Optional(Segment),
    module: Type.Optional(Segment),
    action: Type.Optional(Segment),
  },
  // Never: Fastify would silently remove a misspelt member.
  { additionalProperties: Type.Never(), description: 'organization_id, module and action: where they are to change.' },
);

const Edited = Type.Object({
  success: Type.Literal(true),
  message: Type.String(),
  queue_id: Type.Union([Uuid, Type.Null()], { description: 'The new event; null for a dry run.' }),
  original_id: Uuid,
  difference: Differences,
});

/** Corrects the record of a dead letter and lets it run as a new event; the original keeps its bytes. */
export async function deadLetterEditRoutes(api: Api, deps: Deps): Promise<void> {
  await api.register(async (scope) => {
    keepDigits(scope);
    editRoute(scope, deps);
  });
}

function editRoute(api: Api, { db, config }: Deps): void {
  const action = 'dead_letter.edit';
  const summary = 'Make a new event of a dead letter, with an edited record; with dry_run only say the difference';
  const schema = {
    ...{ tags: ['interventions'], summary, params: IdParams, querystring: DryRun, body: Body },
    response: { 200: Edited },
  };
  const options = { config: { role: 'operator', action } as const, bodyLimit: config.bodyLimit, schema };

  api.post('/dashboard/dead-letter/:id/edit', options, async (request) => {
    const { id } = request.params;
    const { reason, record, organization_id: organizationId, module, action: edited } = request.body;
    const actor = actorOf(request);
    const edit = { record, organizationId, module, action: edited, author: actor.name, reason };
    const isDryRun = request.query.dry_run ?? false;
    const result = await act(db, actor, {
      action,
      target: id,
      // What the edit changed stands with the event, and goes with it: the audit log keeps no customer's data.
      detail: { reason, ...(isDryRun && { dry_run: true }) },
      stands: isDryRun ? [] : ['edited'],
      run: (trx) => editDeadLetter(trx, id, edit, config.defaultOrganization),
    });
    if (result.outcome !== 'edited') throw notEdited(result);
    const { eventId, difference } = result;
    const message = isDryRun ? 'Nothing was changed' : 'Edited event moved to processing queue';
    return { success: true as const, message, queue_id: isDryRun ? null : eventId, original_id: id, difference };
  });
}

function notEdited(result: Exclude<EditResult, { outcome: 'edited' }>): Problem {
  switch (result.outcome) {
    case 'not_found':
      return notFound('dead letter', 'Open ones are listed at dashboard/dead-letter.');
    case 'not_open':
      return new Problem(409, 'not_open', 'It is not open any more. Reload dashboard/dead-letter.');
    case 'quarantined':
      return inQuarantine();
    case 'unusable':
      return new Problem(422, 'unusable_record', `The edited record cannot be processed: ${result.reason}.`);
  }
}

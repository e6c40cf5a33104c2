import { randomUUID } from 'node:crypto';
import { Type } from 'typebox';
import { act } from '../../monitor/audit.ts';
import { approveRun } from '../../workflows/approve.ts';
import { occupied, operate } from '../../workflows/operate.ts';
import { DEEDS, type Deed } from '../../workflows/state.ts';
import type { CompletedRun } from '../../workflows/workflow.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { IdParams } from '../schemas.ts';
import { WorkflowSchema } from '../workflow-schemas.ts';
import { findWorkflow, requestOf } from './dashboard-workflows.ts';

const SUMMARIES: Record<Deed, string> = {
  pause: 'Stop a workflow where it is; it keeps its place',
  resume: 'Let a paused workflow go on',
  retry: 'Let a failed workflow go on from the last activity that was completed',
  terminate: 'End a workflow for good',
};

/** What operators do with a workflow. */
export function workflowDeedRoutes(api: Api, deps: Deps): void {
  for (const deed of DEEDS) deedRoute(api, deps, deed);
  approveRoute(api, deps);
}

function deedRoute(api: Api, { db }: Deps, deed: Deed): void {
  const action = `workflow.${deed}`;
  const schema = { tags: ['dashboard'], summary: SUMMARIES[deed], params: IdParams, response: { 200: WorkflowSchema } };

  api.post(`/dashboard/workflows/:id/${deed}`, { config: { role: 'operator', action }, schema }, async (request) => {
    const { id } = request.params as { id: string };
    const actor = actorOf(request);
    const result = await act(db, actor, {
      ...{ action, target: id },
      stands: ['done'],
      run: (trx) => operate(trx, id, deed, actor.name),
    });
    if (result.outcome === 'not_found') throw noWorkflow();
    if (result.outcome === 'conflict') throw new Problem(409, 'wrong_state', result.refusal);
    return findWorkflow(db, id);
  });
}

const ApproveBody = Type.Object(
  { reason: Type.String({ minLength: 1, maxLength: 500, description: 'Why, for the audit log.' }) },
  { additionalProperties: false },
);

function approveRoute(api: Api, deps: Deps): void {
  const { db } = deps;
  const action = 'workflow.approve';
  const summary = 'Approve what a workflow withheld: starts a workflow that applies it';
  const schema = {
    tags: ['dashboard'],
    summary,
    params: IdParams,
    body: ApproveBody,
    response: { 202: WorkflowSchema },
  };

  api.post(
    '/dashboard/workflows/:id/approve',
    { config: { role: 'operator', action }, schema },
    async (request, reply) => {
      const { id } = request.params;
      const actor = actorOf(request);
      const following = (completed: CompletedRun & { name: string }) => {
        const next = deps.workflows?.find(completed.name)?.approve?.(completed);
        return next ? requestOf(deps, next.name, next.payload) : null;
      };
      const result = await act(db, actor, {
        ...{ action, target: id, detail: { reason: request.body.reason } },
        stands: ['started'],
        run: (trx) => approveRun(trx, id, following, actor.name, randomUUID()),
      });
      if (result.outcome === 'not_found') throw noWorkflow();
      if (result.outcome === 'nothing') throw nothingWithheld();
      if (result.outcome === 'already') throw alreadyApproved(result.id);
      if (result.outcome === 'conflict') throw new Problem(409, 'already_running', occupied(result));
      return reply.code(202).send(await findWorkflow(db, result.id));
    },
  );
}

function noWorkflow(): Problem {
  return notFound('workflow', 'They are listed at dashboard/workflows.');
}

function nothingWithheld(): Problem {
  const detail = 'There is nothing to approve: only a completed run whose verdict is withheld can be approved.';
  return new Problem(409, 'nothing_withheld', detail);
}

function alreadyApproved(id: string): Problem {
  return new Problem(409, 'already_approved', `It was approved before: the run ${id} applies it. Look at that one.`);
}

import { randomUUID } from 'node:crypto';
import { Type } from 'typebox';
import { classify } from '../../errors.ts';
import { type Actor, act } from '../../monitor/audit.ts';
import { listWorkflows, readActivities, readLog, readWorkflow, type WorkflowView } from '../../workflows/inspect.ts';
import { occupied } from '../../workflows/operate.ts';
import { Workflows } from '../../workflows/registry.ts';
import { startRun } from '../../workflows/start.ts';
import { WORKFLOW_STATUSES, type WorkflowStatus } from '../../workflows/state.ts';
import { type Request, validateRequest } from '../../workflows/validate.ts';
import type { Plan } from '../../workflows/workflow.ts';
import { decodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { pageHeaders } from '../page-headers.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem, unavailable } from '../problem.ts';
import { IdParams, Page } from '../schemas.ts';
import { PlanSchema, StartBody, WorkflowSchema, WorkflowWithHistory } from '../workflow-schemas.ts';

const Query = Type.Object({
  ...Page,
  status: Type.Optional(Type.String({ enum: [...WORKFLOW_STATUSES] })),
  name: Type.Optional(Type.String({ maxLength: 200 })),
  q: Type.Optional(
    Type.String({
      maxLength: 200,
      description: 'Part of the name, the payload or the error, the organization or the id.',
    }),
  ),
});

const PLAN_MS = 10_000;

/** Durable workflows: list, look closer, start. */
export function workflowRoutes(api: Api, deps: Deps): void {
  listRoute(api, deps);
  oneRoute(api, deps);
  startRoute(api, deps);
}

function listRoute(api: Api, { db }: Deps): void {
  const summary = 'Workflows, newest first; X-Total-Count says how many match, X-Next-Cursor leads on';
  const schema = { tags: ['dashboard'], summary, querystring: Query, response: { 200: Type.Array(WorkflowSchema) } };

  api.get('/dashboard/workflows', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { limit, cursor, status, name, q } = request.query;
    const filter = { status: status as WorkflowStatus | undefined, name, q };
    const { workflows, next, total } = await listWorkflows(db, {
      ...{ ...filter, limit },
      after: decodeCursor('workflows', cursor),
    });
    reply.headers(pageHeaders('workflows', next, total));
    return workflows;
  });
}

function oneRoute(api: Api, { db }: Deps): void {
  const summary = 'One workflow with its activities and its log';
  const schema = { tags: ['dashboard'], summary, params: IdParams, response: { 200: WorkflowWithHistory } };

  api.get('/dashboard/workflows/:id', { config: { role: 'viewer' }, schema }, async (request) => {
    const { id } = request.params;
    const [workflow, { activities, total }, log] = await Promise.all([
      findWorkflow(db, id),
      readActivities(db, id),
      readLog(db, id),
    ]);
    return { ...workflow, activities, activity_count: total, log };
  });
}

function startRoute(api: Api, deps: Deps): void {
  const action = 'workflow.start';
  const summary = 'Start a workflow; with dry_run=true only say what it would do';
  const querystring = Type.Object({ dry_run: Type.Boolean({ default: false }) });
  const response = { 200: PlanSchema, 202: WorkflowSchema };
  const schema = { tags: ['dashboard'], summary, querystring, body: StartBody, response };

  api.post('/dashboard/workflows', { config: { role: 'operator', action }, schema }, async (request, reply) => {
    const { name, payload = {} } = request.body;
    const asked = requestOf(deps, name, payload);
    if (request.query.dry_run) return reply.code(200).send(await planOf(asked));
    return reply.code(202).send(await startAs(deps, asked, actorOf(request), action));
  });
}

/** What was asked for, checked. Throws a 400 that says what to send instead. */
export function requestOf({ config, workflows }: Deps, name: string, payload: unknown): Request {
  const request = validateRequest(workflows ?? new Workflows([]), config.defaultOrganization, name, payload);
  if ('refusal' in request) throw new Problem(400, request.refusal.code, request.refusal.detail);
  return request;
}

async function startAs({ db }: Deps, request: Request, actor: Actor, action: string): Promise<WorkflowView> {
  const id = randomUUID();
  const start = await act(db, actor, {
    ...{ action, target: id },
    detail: { name: request.definition.name, payload: request.payload },
    stands: ['started'],
    run: (trx) => startRun(trx, request, actor.name, id),
  });
  if (start.outcome === 'conflict') throw new Problem(409, 'already_running', occupied(start));
  return findWorkflow(db, id);
}

/** A run that is there. Throws a 404. */
export async function findWorkflow(db: Deps['db'], id: string): Promise<WorkflowView> {
  const workflow = await readWorkflow(db, id);
  if (!workflow) throw notFound('workflow', 'They are listed at dashboard/workflows.');
  return workflow;
}

/** Asks Zoho, so it may fail for reasons that are not ours. */
async function planOf({ definition, organizationId, payload }: Request): Promise<Plan> {
  const signal = AbortSignal.timeout(PLAN_MS);
  try {
    return await definition.plan(organizationId, payload, signal);
  } catch (error) {
    const { permanent, message, retryAfterSeconds } = classify(error);
    const detail = `The plan could not be made: ${signal.aborted ? 'it took too long.' : message}`;
    if (permanent) throw new Problem(422, 'plan_refused', detail);
    throw unavailable('plan_unavailable', `${detail} Try again later.`, retryAfterSeconds);
  }
}

import { Type } from 'typebox';
import { act } from '../../monitor/audit.ts';
import { type Control, controlRetryRun } from '../../queue/retry-runs/control.ts';
import { type RetryRun, retryRun, retryRuns } from '../../queue/retry-runs/read.ts';
import { planRetry } from '../../queue/retry-runs/selection.ts';
import { type StartResult, startRetryRun } from '../../queue/retry-runs/start.ts';
import { NOTHING_ELSE, PlanSchema, SELECTION, selectionOf } from '../dead-letter-selection.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { DryRun, IdParams, Nullable, Reason, Time, Uuid } from '../schemas.ts';

const Request = Type.Object(
  {
    ...SELECTION,
    reason: Type.Optional(Reason),
    force: Type.Optional(
      Type.Boolean({ description: 'Also what failed for a permanent cause; needs a reason.', default: false }),
    ),
    rate_per_second: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 50 })),
    max_failure_percent: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100, default: 20, description: 'Of the last 100; above, it stops.' }),
    ),
  },
  {
    ...NOTHING_ELSE,
    description: 'One of ids, filter and group.',
    examples: [{ filter: { event_type: 'invoice.updated' } }],
  },
);

const STATUSES = ['running', 'paused', 'stopped', 'cancelled', 'completed'];
const Run = Type.Object({
  id: Uuid,
  status: Type.Unsafe<RetryRun['status']>({ type: 'string', enum: STATUSES }),
  status_reason: Nullable(Type.String({ description: 'Why it stopped by itself, or who paused or cancelled it.' })),
  created_at: Time,
  created_by: Type.String(),
  reason: Nullable(Type.String()),
  selection: Type.Unsafe<RetryRun['selection']>({ type: 'object', additionalProperties: true }),
  rate_per_second: Type.Integer(),
  max_failure_percent: Type.Integer(),
  total: Type.Integer({ description: 'In the snapshot; the five below add up to it.' }),
  waiting: Type.Integer(),
  in_queue: Type.Integer({ description: 'Retried, and not ended yet.' }),
  completed: Type.Integer(),
  failed: Type.Integer({ description: 'Died again; never retried again by this run.' }),
  skipped: Type.Integer({ description: 'Were no open dead letters any more when their turn came.' }),
  ended_at: Nullable(Time),
});

const tags = ['interventions'];

/** Retries of many dead letters: the first one, then ten, then the rest at a rate; too many failures stop it. */
export function retryRunRoutes(api: Api, deps: Deps): void {
  startRoute(api, deps);
  readRoutes(api, deps);
  for (const control of ['pause', 'resume', 'cancel'] as const) controlRoute(api, deps, control);
}

function startRoute(api: Api, { db, config }: Deps): void {
  const action = 'dead_letter.bulk_retry';
  const summary = 'Retry many dead letters, carefully: 202 and the run; with dry_run 200 and the plan';
  const schema = { tags, summary, querystring: DryRun, body: Request, response: { 200: PlanSchema, 202: Run } };

  api.post('/dashboard/dead-letter/retry', { config: { role: 'operator', action }, schema }, async (request, reply) => {
    const { reason = null, force = false, rate_per_second = 50, max_failure_percent = 20, ...asked } = request.body;
    const selection = await selectionOf(db, asked);
    const { maxAttempts } = config;
    if (request.query.dry_run) return planRetry(db, selection, maxAttempts);
    if (force && reason === null)
      throw new Problem(400, 'reason_needed', 'force needs a reason: send "reason" as well.');
    const actor = actorOf(request);
    const rates = { ratePerSecond: rate_per_second, maxFailurePercent: max_failure_percent };
    const started = await act<StartResult>(db, actor, {
      ...{ action, target: null, detail: { ...asked, reason, force, ...rates }, stands: ['started'] },
      run: (trx) =>
        startRetryRun(trx, { selection, asked, operator: actor.name, reason, force, ...rates, maxAttempts }),
    });
    if (started.outcome !== 'started') throw notStarted(started);
    return reply.code(202).send(await findRun(db, started.id));
  });
}

function notStarted(result: Exclude<StartResult, { outcome: 'started' }>): Problem {
  if (result.outcome === 'empty')
    return new Problem(409, 'nothing_to_retry', 'No open dead letter matches. Ask with less.');
  const detail =
    `${result.permanent} of ${result.count} failed for a cause that another attempt does not cure by itself. ` +
    'Leave them out by a filter, or cure the cause and send "force": true with a reason.';
  return new Problem(409, 'permanent_causes', detail);
}

function readRoutes(api: Api, { db }: Deps): void {
  const limit = Type.Integer({ minimum: 1, maximum: 50, default: 20, description: 'How many at once: 1 to 50.' });
  const list = {
    ...{ tags, summary: 'Retries of many dead letters, the latest first' },
    ...{ querystring: Type.Object({ limit }), response: { 200: Type.Array(Run) } },
  };
  const config = { role: 'viewer' } as const;
  api.get('/dashboard/dead-letter/retries', { config, schema: list }, ({ query }) => retryRuns(db, query.limit));

  const one = {
    tags,
    summary: 'A retry of many dead letters, and how far it is',
    params: IdParams,
    response: { 200: Run },
  };
  api.get('/dashboard/dead-letter/retries/:id', { config, schema: one }, ({ params }) => findRun(db, params.id));
}

async function findRun(db: Deps['db'], id: string): Promise<RetryRun> {
  const run = await retryRun(db, id);
  if (!run) throw notFound('retry', 'They are listed at dashboard/dead-letter/retries.');
  return run;
}

const SUMMARIES: Record<Control, string> = {
  pause: 'Release no more for now',
  resume: 'Go on with a run that was paused',
  cancel: 'Release no more; what it has released stays in the queue',
};

function controlRoute(api: Api, { db }: Deps, control: Control): void {
  const action = `dead_letter.bulk_retry.${control}`;
  const schema = { tags, summary: SUMMARIES[control], params: IdParams, response: { 200: Run } };
  const url = `/dashboard/dead-letter/retries/:id/${control}`;
  api.post(url, { config: { role: 'operator', action }, schema }, async (request) => {
    const { id } = request.params;
    const actor = actorOf(request);
    const result = await act(db, actor, {
      ...{ action, target: id, stands: ['done'] },
      run: (trx) => controlRetryRun(trx, id, control, actor.name),
    });
    if (result.outcome === 'refused')
      throw new Problem(409, 'not_possible', `This run is ${result.status}: it cannot ${control}. Begin another one.`);
    return findRun(db, id);
  });
}

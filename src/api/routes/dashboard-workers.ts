import { Type } from 'typebox';
import { act } from '../../monitor/audit.ts';
import { listWorkers, type WorkerRow } from '../../monitor/workers.ts';
import { drainWorkers, resumeWorkers } from '../../queue/drain.ts';
import { NOTHING_ELSE } from '../dead-letter-selection.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { Problem } from '../problem.ts';
import { Nullable, Reason, Time, Uuid } from '../schemas.ts';

const MAX_WORKERS = 200;

const Worker = Type.Object({
  worker_id: Uuid,
  state: Type.Unsafe<WorkerRow['state']>({
    ...{ type: 'string', enum: ['alive', 'draining', 'drained', 'lost', 'ended'] },
    description:
      'draining: it is about to end. drained: an operator lets it claim nothing more. lost: it has not said goodbye, and its lease has run out.',
  }),
  host: Type.String(),
  pid: Type.Integer(),
  version: Type.String(),
  concurrency: Type.Integer(),
  in_flight: Type.Integer({ description: 'Events in hand, as of its last heartbeat.' }),
  started_at: Time,
  heartbeat_at: Time,
  ended_at: Nullable(Time),
  drained_at: Nullable(Time),
  drained_by: Nullable(Type.String()),
});

/** Who works: the owner of every claim. */
export function workerRoutes(api: Api, deps: Deps): void {
  const { db } = deps;
  drainRoutes(api, deps);
  const summary = `Workers of the last day, those that live first; at most ${MAX_WORKERS}`;
  const schema = { tags: ['dashboard'], summary, response: { 200: Type.Array(Worker) } };
  api.get('/dashboard/workers', { config: { role: 'viewer' }, schema }, () => listWorkers(db, MAX_WORKERS));
}

const WhichWorker = Type.Object({ worker_id: Type.Optional(Uuid), reason: Type.Optional(Reason) }, NOTHING_ELSE);
const Changed = Type.Object({ workers: Type.Integer({ description: 'How many it concerned.', examples: [2] }) });

function drainRoutes(api: Api, { db }: Deps): void {
  const schema = { tags: ['interventions'], body: Nullable(WhichWorker), response: { 200: Changed } };
  const deed = (verb: 'drain' | 'resume', summary: string) => {
    const config = { role: 'operator', action: `worker.${verb}` } as const;
    api.post(`/dashboard/workers/${verb}`, { config, schema: { ...schema, summary } }, async (request) => {
      const { worker_id: workerId, ...detail } = request.body ?? {};
      const actor = actorOf(request);
      const { outcome, workers } = await act(db, actor, {
        ...{ action: config.action, target: workerId ?? null, detail, stands: ['drained', 'resumed'] },
        run: (trx) => (verb === 'drain' ? drainWorkers(trx, workerId, actor.name) : resumeWorkers(trx, workerId)),
      });
      if (outcome === 'unknown') throw new Problem(404, 'no_worker', NO_WORKER);
      return { workers };
    });
  };
  deed('drain', 'Let a worker, or all that run now, finish what they hold and claim nothing more');
  deed('resume', 'Let workers that were drained claim again');
}

const NO_WORKER = 'No worker that runs has this id, or none runs at all. GET /dashboard/workers lists them.';

import { Type } from 'typebox';
import { listWorkers, type WorkerRow } from '../../monitor/workers.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Time, Uuid } from '../schemas.ts';

const MAX_WORKERS = 200;

const Worker = Type.Object({
  worker_id: Uuid,
  state: Type.Unsafe<WorkerRow['state']>({
    ...{ type: 'string', enum: ['alive', 'draining', 'lost', 'ended'] },
    description: 'lost: it has not said goodbye, and its lease has run out.',
  }),
  host: Type.String(),
  pid: Type.Integer(),
  version: Type.String(),
  concurrency: Type.Integer(),
  in_flight: Type.Integer({ description: 'Events in hand, as of its last heartbeat.' }),
  started_at: Time,
  heartbeat_at: Time,
  ended_at: Nullable(Time),
});

/** Who works: the owner of every claim. */
export function workerRoutes(api: Api, { db }: Deps): void {
  const summary = `Workers of the last day, those that live first; at most ${MAX_WORKERS}`;
  const schema = { tags: ['dashboard'], summary, response: { 200: Type.Array(Worker) } };
  api.get('/dashboard/workers', { config: { role: 'viewer' }, schema }, () => listWorkers(db, MAX_WORKERS));
}

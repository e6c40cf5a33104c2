import { Type } from 'typebox';
import { exclusively } from '../../db/transaction.ts';
import { act } from '../../monitor/audit.ts';
import { pause, pauseEventType, pauseState, resume, resumeEventType, settlePauses } from '../../queue/pause.ts';
import { countPurgeable, type PurgeResult, purge } from '../../queue/purge.ts';
import { rebuild } from '../../queue/rebuild.ts';
import { countStuck, releaseStuck } from '../../queue/release-stuck.ts';
import { daysOf } from '../../queue/retention.ts';
import { booksModules } from '../../zoho/modules/modules.ts';
import { NOTHING_ELSE } from '../dead-letter-selection.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { Problem } from '../problem.ts';
import { DryRun, EventTypePattern, Nullable, Pause, Reason } from '../schemas.ts';

/** What an operator does with the queue as a whole. */
export function queueRoutes(api: Api, deps: Deps): void {
  pauseRoutes(api, deps);
  releaseStuckRoute(api, deps);
  purgeRoute(api, deps);
  rebuildRoute(api, deps);
}

const tags = ['interventions'];

/** Whoever asks is answered before; workers go on. */
const SETTLE_MS = 20_000;

function pauseRoutes(api: Api, { db, pool }: Deps): void {
  const body = Type.Object({ reason: Reason, event_type: Type.Optional(EventTypePattern) }, NOTHING_ELSE);
  const summary = 'Stop all claiming, or that of an event type; what is in hand finishes';
  const pausing = { tags, summary, body, response: { 200: Pause } };
  const pauseConfig = { role: 'operator', action: 'queue.pause' } as const;
  api.post('/dashboard/queue/pause', { config: pauseConfig, schema: pausing }, async (request) => {
    const actor = actorOf(request);
    const { reason, event_type: type } = request.body;
    if (type !== undefined) demandKnown(type);
    await act(db, actor, {
      ...{ action: pauseConfig.action, target: type ?? null, detail: { reason }, stands: ['paused'] },
      run: async (trx) => ({
        outcome: await (type === undefined
          ? pause(trx, actor.name, reason)
          : pauseEventType(trx, type, actor.name, reason)),
      }),
    });
    await settlePauses(pool, AbortSignal.timeout(SETTLE_MS));
    return pauseState(db);
  });

  const ResumeBody = Type.Object(
    { reason: Type.Optional(Reason), event_type: Type.Optional(EventTypePattern) },
    NOTHING_ELSE,
  );
  const resuming = {
    ...{ tags, summary: 'Let claiming go on; with an event type, that of this one' },
    ...{ body: Nullable(ResumeBody), response: { 200: Pause } },
  };
  const resumeConfig = { role: 'operator', action: 'queue.resume' } as const;
  api.post('/dashboard/queue/resume', { config: resumeConfig, schema: resuming }, async (request) => {
    const { event_type: type, ...detail } = request.body ?? {};
    await act(db, actorOf(request), {
      ...{ action: resumeConfig.action, target: type ?? null, detail, stands: ['resumed', 'already'] },
      run: async (trx) => ({ outcome: await (type === undefined ? resume(trx) : resumeEventType(trx, type)) }),
    });
    await settlePauses(pool, AbortSignal.timeout(SETTLE_MS));
    return pauseState(db);
  });

  const reading = { tags, summary: 'Whether the queue is paused, by whom and why', response: { 200: Pause } };
  api.get('/dashboard/queue/pause', { config: { role: 'viewer' }, schema: reading }, () => pauseState(db));
}

/** A misspelt type would pause nothing, and nobody would be told. */
function demandKnown(eventType: string): void {
  const modules = booksModules.map(({ name }) => name);
  if (modules.some((name) => name === eventType.split('.')[0])) return;
  const detail = `There is no such module. Send an event_type such as invoice.* of: ${modules.join(', ')}.`;
  throw new Problem(400, 'unknown_event_type', detail);
}

const Released = Type.Object({ events: Type.Integer({ examples: [2] }) });
const OlderThan = Type.Object({
  ...DryRun.properties,
  older_than_seconds: Type.Integer({ minimum: 60, maximum: 604_800, default: 3600 }),
});

function releaseStuckRoute(api: Api, { db }: Deps): void {
  const action = 'queue.release_stuck';
  const summary = 'Set events back to pending that a worker has had in hand for too long';
  const schema = { tags, summary, querystring: OlderThan, response: { 200: Released } };
  api.post('/dashboard/queue/release-stuck', { config: { role: 'operator', action }, schema }, async (request) => {
    const { dry_run, older_than_seconds: seconds } = request.query;
    if (dry_run) return { events: await countStuck(db, seconds) };
    const { events } = await act(db, actorOf(request), {
      ...{ action, target: null, detail: { older_than_seconds: seconds }, stands: ['released'] },
      run: async (trx) => ({ outcome: 'released', events: await releaseStuck(trx, seconds) }),
    });
    return { events };
  });
}

const Deleted = Type.Record(Type.String(), Type.Integer(), { description: 'Rows of each kind.' });
const Purged = Type.Object({
  deleted: Deleted,
  finished: Type.Boolean({ description: 'false: there is more; ask again.' }),
});
const Purge = Type.Object({
  ...DryRun.properties,
  days: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 3650,
      description: 'For everything; default: RETENTION_DAYS, RETENTION_BY_KIND.',
    }),
  ),
});
const PURGE_MS = 20_000;

function purgeRoute(api: Api, { db, pool, config }: Deps): void {
  const action = 'queue.purge';
  const summary = 'Delete what nobody needs any more, for 20 s at most; what a night does, now';
  const schema = { tags, summary, querystring: Purge, response: { 200: Purged } };
  api.post('/dashboard/queue/purge', { config: { role: 'operator', action }, schema }, async (request) => {
    const { dry_run, days } = request.query;
    const retention = days ?? { days: config.retentionDays, byKind: config.retentionByKind };
    if (dry_run)
      return { deleted: { events: await countPurgeable(pool, daysOf(retention, 'events')) }, finished: true };
    const timeUp = AbortSignal.timeout(PURGE_MS);
    const deleted: PurgeResult | undefined = await exclusively(pool, 'purge', () => purge(pool, retention, timeUp));
    if (!deleted) throw new Problem(409, 'purge_running', 'A worker is purging at this moment: nothing is left to do.');
    await act(db, actorOf(request), {
      ...{ action, target: null, detail: { days: daysOf(retention), ...deleted }, stands: ['purged'] },
      run: async () => ({ outcome: 'purged' }),
    });
    return { deleted, finished: !timeUp.aborted };
  });
}

const Differences = Type.Object({
  differences: Type.Array(Type.Object({ what: Type.String(), was: Type.String(), is_now: Type.String() }), {
    description: 'Empty when all was right.',
  }),
});

function rebuildRoute(api: Api, { db, pool }: Deps): void {
  const action = 'queue.rebuild';
  const summary =
    'Derive counts, waiting events, claims and dead letters from the queue anew; nothing arrives meanwhile';
  const schema = { tags, summary, querystring: DryRun, response: { 200: Differences } };
  api.post('/dashboard/queue/rebuild', { config: { role: 'operator', action }, schema }, async (request) => {
    const dryRun = request.query.dry_run ?? false;
    const differences = await rebuild(pool, dryRun);
    if (!dryRun)
      await act(db, actorOf(request), {
        ...{ action, target: null, detail: { differences }, stands: ['rebuilt'] },
        run: async () => ({ outcome: 'rebuilt' }),
      });
    return { differences };
  });
}

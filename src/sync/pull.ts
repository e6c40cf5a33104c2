/** SyncAll and SyncChanged: what is new in Zoho, module by module. */
import { ActivitiesFailed, type Json, type Run } from '../workflows/workflow.ts';
import type { ZohoClient } from '../zoho/client/client.ts';
import { ZohoError } from '../zoho/client/errors.ts';
import type { PullStrategy } from '../zoho/modules/modules.ts';
import type { PullModule } from '../zoho/modules/pull-modules.ts';
import { addCustomFields } from './custom-fields.ts';
import { approachOf, fullScanDue } from './due.ts';
import { advanceMark, markOf } from './marks.ts';
import { forgetPages } from './pages.ts';
import { quotaOfDay } from './plan.ts';
import { type Scan, scanModule } from './scan.ts';
import type { Scope } from './scope.ts';
import { databaseTime } from './write-pulled.ts';

export type PullPayload = { modules?: string[]; since?: string };

/** How a module's part of a run begins. */
type Begun = { started_at: string; strategy: PullStrategy; since: string | null; skipped: boolean };

type Done = { module: PullModule; begun: Begun; scan: Scan };

/** Reads every list whole and sends to the mirror what it does not hold yet. */
export function syncAll(
  run: Run<unknown>,
  payload: PullPayload,
  client: ZohoClient,
  modules: readonly PullModule[],
): Promise<Json> {
  const whole = async () => ({ strategy: 'full-scan', since: null, skipped: false }) as const;
  return pull({ run, payload, client }, modules, 'rows', whole);
}

/** Reads what changed since each module's mark, or since the payload's `since`. */
export function syncChanged(
  run: Run<unknown>,
  payload: PullPayload,
  client: ZohoClient,
  modules: readonly PullModule[],
): Promise<Json> {
  const { organizationId, db } = run;
  return pull({ run, payload, client }, modules, 'new', async (module, now) => {
    const mark = await markOf(db, organizationId, module.name);
    const { strategy, since } = approachOf(module, mark, payload.since ? new Date(payload.since) : null, now);
    // Who names a module wants it now.
    const due = payload.modules !== undefined || module.strategy !== 'full-scan';
    const skipped = !due && !fullScanDue(mark, await quotaOfDay(db, organizationId), now);
    return { strategy, since: since?.toISOString() ?? null, skipped };
  });
}

/** Decides how a module is read, when its part of the run begins. */
type Decide = (module: PullModule, now: Date) => Promise<Omit<Begun, 'started_at'>>;

type Pull = { run: Run<unknown>; payload: PullPayload; client: ZohoClient };

async function pull(
  { run, payload, client }: Pull,
  modules: readonly PullModule[],
  counts: Scope['counts'],
  decide: Decide,
): Promise<Json> {
  const done: Done[] = [];
  let before = 0;
  for (const module of modules) {
    const begun = await begin(run, module, decide);
    if (begun.skipped) continue;
    const scope = { run, client, module, before, counts, part: partOf(run, module) };
    const since = begun.since === null ? null : new Date(begun.since);
    const scan = await scanModule(scope, { strategy: begun.strategy, since });
    done.push({ module, begun, scan });
    before += scan.total ?? scan.seen;
    tell(run, module, scan);
  }
  failWhenAllWereRefused(run, done);
  await finishPull(run, payload, done);
  await addCustomFields(run);
  return {
    modules: Object.fromEntries(modules.map(({ name }) => [name, resultOf(done.find((d) => d.module.name === name))])),
  };
}

export function partOf(run: Run<unknown>, module: PullModule) {
  return { runId: run.id, organizationId: run.organizationId, module: module.name };
}

function begin(run: Run<unknown>, module: PullModule, decide: Decide): Promise<Begun> {
  return run.activity(`${module.name} begin`, {
    async fetch() {
      const now = await databaseTime(run.db);
      return { started_at: now.toISOString(), ...(await decide(module, now)) };
    },
    write: async (_trx, begun) => begun,
  });
}

/** A run of which Zoho refused every module has failed; a retry asks Zoho for these pages again. */
export function failWhenAllWereRefused({ name }: Run<unknown>, done: readonly { scan: Scan }[]): void {
  const refusals = done.flatMap(({ scan }) => scan.refused ?? []);
  const [first] = refusals;
  if (first === undefined || refusals.length < done.length) return;
  const { message, status, code, body } = first;
  throw new ActivitiesFailed(`${name}: ${refusals.map((refusal) => refusal.message).join(' ')}`, {
    activities: refusals.map(({ activity }) => activity),
    cause: new ZohoError('refused', message, {
      ...{ status: status ?? undefined, code: code ?? undefined, body: body ?? undefined },
    }),
  });
}

/** What a scan could not see or believe must not stay in its result alone. */
export function tell({ log }: Run<unknown>, { name }: PullModule, { problems, ...scan }: Scan): void {
  if (problems.length > 0) log.warn({ module: name, ...scan, problems }, 'a module was not pulled whole');
}

/** The marks move together, when the whole run has ended; those of modules that were not read whole stay. */
async function finishPull(run: Run<unknown>, payload: PullPayload, done: readonly Done[]): Promise<void> {
  await run.activity('end', {
    fetch: async () => null,
    async write(trx) {
      const { id: runId, organizationId } = run;
      for (const { module, begun, scan } of done) {
        if (!movesMark(scan) || (await leavesGap(run, payload, module, begun))) continue;
        const [scannedPages, scannedRecords] =
          scan.strategy === 'full-scan' ? [scan.pages, liveIn(scan)] : [null, null];
        const mark = { organizationId, module: module.name, runId, startedAt: begun.started_at };
        await advanceMark(trx, { ...mark, scannedPages, scannedRecords });
      }
      await forgetPages(trx, runId);
      return null;
    },
  });
}

/** Records that the list has shown and Zoho, where it was asked for one, has not said to be gone. */
export function liveIn({ seen, gone }: Scan): number {
  return seen - gone;
}

/** A row that was not seen may never be shown again by a filter; one that cannot be used never will be of use. */
export function movesMark({ refused, total, seen, strategy, unusable }: Scan): boolean {
  return !refused && (strategy === 'sorted-scan' || total === null || seen + unusable >= total);
}

/** Whether the run began at a time of its payload that lies behind the mark: what changed in between is not known. */
async function leavesGap(
  run: Run<unknown>,
  payload: PullPayload,
  { name }: PullModule,
  { since }: Begun,
): Promise<boolean> {
  if (payload.since === undefined || since === null) return false;
  const mark = await markOf(run.db, run.organizationId, name);
  return mark === null || mark.knownUntil.getTime() < new Date(since).getTime();
}

function resultOf(done: Done | undefined): Json {
  if (done === undefined)
    return { skipped: 'its list was read a short while ago, and reading it again would take too much of the day' };
  const { begun, scan } = done;
  const { seen, refused: _, ...rest } = scan;
  return { records: seen, ...rest, since: begun.since };
}

import type { Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { TaggedError } from '../errors/tagged.ts';
import { type Json, Postponed, type Run } from '../workflows/workflow.ts';
import type { ZohoClient } from '../zoho/client/client.ts';
import { innerModulesOf, type PullModule } from '../zoho/modules/pull-modules.ts';
import { addCustomFields } from './custom-fields.ts';
import { applyDeletions, type Deletions } from './deletions.ts';
import { applyInnerDeletions, describeWithoutId, innerPart } from './inner-parts.ts';
import { describeLeftovers } from './leftovers.ts';
import { advanceMark } from './marks.ts';
import { forgetPages, type Part } from './pages.ts';
import { failWhenAllWereRefused, movesMark, partOf, tell } from './pull.ts';
import { type Scan, scanModule } from './scan.ts';
import { countPart, eventsUnderWay, gravest, isWhole, judge, type ModuleVerdict, storeVerdict } from './verdict.ts';
import { databaseTime } from './write-pulled.ts';

export type ReconcilePayload = {
  modules?: string[];
  /** The run whose withheld deletions an operator has approved. */
  approved_run?: string;
};

type Done = { module: PullModule; startedAt: string; scan: Scan; deletions: Deletions };

const NONE = { records: 0, agree: 0, missing: 0, extra: 0, stale: 0, different: 0, repaired: 0, incomplete: 0 };

/**
 * Compares, repairs, waits until the repairs have reached the mirror, and counts what it holds then.
 * @throws ActivitiesFailed when Zoho refuses every module: nothing was compared, so there is no verdict
 */
export async function reconcile(
  run: Run<unknown>,
  payload: ReconcilePayload,
  client: ZohoClient,
  modules: readonly PullModule[],
): Promise<Json> {
  const approvedRun = payload.approved_run ?? null;
  if (approvedRun !== null) await demandApproval(run, approvedRun);
  const done: Done[] = [];
  let before = 0;
  for (const module of modules) {
    const startedAt = await begin(run, module);
    const scope = { run, client, module, before, counts: 'rows', part: partOf(run, module) } as const;
    const scan = await scanModule(scope, { strategy: 'full-scan', since: null });
    const deletions = scan.refused
      ? { withheld: 0, problems: [] }
      : await applyDeletions(scope, scan, new Date(startedAt), approvedRun);
    if (!scan.refused) await applyInnerDeletions(scope);
    done.push({ module, startedAt, scan, deletions });
    before += scan.total ?? scan.seen;
    tell(run, module, scan);
  }
  failWhenAllWereRefused(run, done);
  await eventsEnded(run);
  return conclude(run, done);
}

/** Only an operator's approval, which gives a reason for the audit log, lets withheld deletions through. */
async function demandApproval(run: Run<unknown>, approvedRun: string): Promise<void> {
  const approved = await run.db
    .selectFrom('tds_workflows')
    .select('approved_as')
    .where('id', '=', approvedRun)
    .execute();
  if (approved[0]?.approved_as === run.id) return;
  const how = `approve it with POST /dashboard/workflows/${approvedRun}/approve and a reason`;
  throw new TaggedError('ValidationError', `Nobody has approved what the run ${approvedRun} withheld: ${how}.`);
}

async function begin(run: Run<unknown>, module: PullModule): Promise<string> {
  return run.activity(`${module.name} begin`, {
    fetch: async () => (await databaseTime(run.db)).toISOString(),
    write: async (_trx, startedAt) => startedAt,
  });
}

/** The verdict counts what the mirror holds, so what the run sent there has to arrive first, or fail for good. */
async function eventsEnded(run: Run<unknown>): Promise<void> {
  await run.activity('events of the run', {
    async fetch() {
      const events = await eventsUnderWay(run.db, run.id);
      if (events > 0)
        throw new Postponed(Math.min(30, 1 + events / 1000), `${events} events are on their way to the mirror.`);
    },
    write: async () => null,
  });
}

async function conclude(run: Run<unknown>, done: readonly Done[]): Promise<Json> {
  const verdicts: Record<string, ModuleVerdict> = {};
  for (const each of done) Object.assign(verdicts, await verdictsOf(run, each));
  await run.activity('end', {
    fetch: async () => null,
    async write(trx) {
      for (const { module, startedAt, scan } of done) {
        if (!movesMark(scan)) continue;
        const mark = { organizationId: run.organizationId, runId: run.id, startedAt, scannedPages: scan.pages };
        for (const { name } of [module, ...innerModulesOf(module)])
          await advanceMark(trx, { ...mark, module: name, scannedRecords: verdicts[name]?.records ?? null });
      }
      await forgetPages(trx, run.id);
      return null;
    },
  });
  await addCustomFields(run);
  const modules = Object.fromEntries(
    Object.entries(verdicts).map(([name, { verdict: _, ...counts }]) => [name, counts]),
  );
  return { verdict: gravest(Object.values(verdicts)), modules };
}

/** The verdict of a module, and those of the modules whose records stand within its own. */
async function verdictsOf(run: Run<unknown>, done: Done): Promise<Record<string, ModuleVerdict>> {
  const { module, startedAt, scan, deletions } = done;
  const part = partOf(run, module);
  const begun = new Date(startedAt);
  const own = await run.activity(`${module.name} verdict`, {
    fetch: async () => null,
    write: (trx) => judgePart(run, trx, part, begun, { ...deletions, scan }),
  });
  const verdicts = { [module.name]: own };
  for (const inner of innerModulesOf(module)) {
    verdicts[inner.name] = await run.activity(`${inner.name} verdict`, {
      fetch: async () => null,
      async write(trx) {
        const problems = await describeWithoutId(trx, part, inner);
        return judgePart(run, trx, await innerPart(trx, part, inner), begun, { withheld: 0, problems, scan });
      },
    });
  }
  return verdicts;
}

async function judgePart(
  run: Run<unknown>,
  trx: Transaction<Schema>,
  part: Part,
  startedAt: Date,
  { scan, withheld, problems }: Deletions & { scan: Scan },
): Promise<ModuleVerdict> {
  const counts = scan.refused ? NONE : await countPart(trx, part, startedAt);
  const left = isWhole(counts) ? [] : await describeLeftovers(trx, part);
  const verdict = judge(counts, withheld, [...scan.problems, ...problems, ...left]);
  await storeVerdict(trx, part, verdict, startedAt);
  const level = verdict.verdict === 'differs' || verdict.verdict === 'withheld' ? 'warn' : 'info';
  run.log[level]({ module: part.module, ...verdict }, 'module reconciled');
  return verdict;
}

import { randomUUID } from 'node:crypto';
import t from 'tap';
import { readPullFacts } from '../../src/monitor/alerts/pull-facts.ts';
import { syncDefinitions } from '../../src/sync/definitions.ts';
import { needsApproval } from '../../src/sync/guard.ts';
import { approveRun } from '../../src/workflows/approve.ts';
import { startRun } from '../../src/workflows/start.ts';
import type { Json } from '../../src/workflows/workflow.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { testWorker } from '../workflows/engine.ts';
import type { Entry } from '../zoho/books.ts';
import { disagreeing, startMirroring } from './mirroring.ts';
import { NONE, type Reconciled, stage } from './stage.ts';

const database = await testDatabase(t);
const { db } = database;
startMirroring(t, database);

t.test('more than ten deletions and more than a twentieth of a module need approval', async (t) => {
  t.notOk(needsApproval(10, 10));
  t.ok(needsApproval(11, 10));
  t.notOk(needsApproval(11, 220));
  t.ok(needsApproval(12, 220));
});

t.test('too many deletions are withheld until an operator approves, everything else is written', async (t) => {
  const { books, standIn, client, calls } = await stage(t, database, { item: 100 });
  const { organizationId } = standIn;
  const definitions = syncDefinitions(db, new Map([[organizationId, client]]));
  const definition = definitions.find(({ name }) => name === 'Reconcile');
  await testWorker(t, database, definitions);

  const ended = async (id: string) => {
    const row = db.selectFrom('tds_workflows').selectAll().where('id', '=', id);
    return waitFor(
      'the run to end',
      async () => {
        const { status, result } = await row.executeTakeFirstOrThrow();
        return status === 'running' ? undefined : { status, result: result as Reconciled };
      },
      60_000,
    );
  };
  const started = async (payload: Record<string, Json> = {}) => {
    const whole = { organization_id: organizationId, modules: ['item'], ...payload };
    const request = { definition: { name: 'Reconcile' }, organizationId, payload: whole };
    return (await db.transaction().execute((trx) => startRun(trx, request, 'ann'))).id;
  };
  const approve = async (id: string) =>
    db.transaction().execute((trx) => {
      const following = (completed: Parameters<NonNullable<typeof definition>['approve'] & object>[0]) => {
        const next = definition?.approve?.(completed);
        const payload = next?.payload as { [key: string]: Json };
        return next ? { definition: definition as never, organizationId, payload } : null;
      };
      return approveRun(trx, id, following, 'ann', randomUUID());
    });

  await ended(await started());
  for (const entry of books.live('item').slice(0, 40)) books.delete(entry);
  const [changed] = books.live('item') as [Entry];
  books.change(changed);
  calls();
  const id = await started();
  const { status, result } = await ended(id);
  t.same([status, result.verdict], ['completed', 'withheld']);
  t.same(result.modules.item, {
    ...{ ...NONE, records: 60, agree: 60, stale: 1, extra: 40, repaired: 1, withheld_deletions: 40 },
  });
  t.same(calls().details, [`/items/${changed.id}`], 'Zoho is not asked for what is withheld');
  t.match(await readPullFacts(db), { withheldDeletions: 40, differingModules: 0 });

  const unapproved = await ended(await started({ approved_run: id }));
  t.match(unapproved, { status: 'failed', result: { tag: 'ValidationError', message: /Nobody has approved/ } });

  books.create('item');
  for (const entry of books.live('item').slice(0, 20)) books.delete(entry);
  const approval = await approve(id);
  if (approval.outcome !== 'started') return t.fail(approval.outcome);
  const applied = await ended(approval.id);
  t.equal(applied.result.verdict, 'withheld', 'what came after the approval is not approved');
  t.same(applied.result.modules.item, {
    ...{ ...NONE, records: 41, agree: 41, missing: 1, extra: 60, repaired: 41, withheld_deletions: 20 },
  });
  t.equal(calls().details.filter((path) => path.startsWith('/items/')).length, 41, 'each deletion is confirmed');
  t.match(await readPullFacts(db), { withheldDeletions: 20, differingModules: 0 });
  t.equal((await approve(id)).outcome, 'already');

  for (const entry of books.live('item').slice(0, 2)) books.delete(entry);
  const last = await approve(approval.id);
  if (last.outcome !== 'started') return t.fail(last.outcome);
  t.equal((await ended(last.id)).result.verdict, 'repaired', 'two more are harmless, beside the twenty approved');
  t.same(await disagreeing(database, books, 'item'), []);
  t.match(await readPullFacts(db), { withheldDeletions: 0, differingModules: 0 });
});

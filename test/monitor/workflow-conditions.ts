/** The conditions of the rules about workflows and reconciliations, made by real runs. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { TaggedError } from '../../src/errors.ts';
import { judge, storeVerdict } from '../../src/sync/verdict.ts';
import type { Json } from '../../src/workflows/workflow.ts';
import { type Teardown, type TestDatabase, waitFor } from '../helper.ts';
import { stage } from '../sync/stage.ts';
import { start, statusOf, testWorker, workflow } from '../workflows/engine.ts';
import type { Condition } from './condition.ts';

const NAME = 'Test';

export function workflowConditions(t: Teardown, database: TestDatabase): Record<string, Condition> {
  const { db } = database;

  /** A worker that takes runs until `until`; then it stops. */
  async function withWorker(run: () => Promise<Json>, until: () => Promise<unknown>): Promise<void> {
    const { loop } = await testWorker(t, database, [workflow(NAME, run)]);
    await until();
    await loop.stop(5_000);
  }

  const ended = async (id: string, status: string) =>
    waitFor(`the run to be ${status}`, async () => (await statusOf(db, id)) === status);

  const runEnds = (status: string, run: () => Promise<Json>) =>
    withWorker(run, async () => ended(await start(db, NAME), status));

  const fails = (tag: 'ValidationError' | 'NetworkError'): Condition => ({
    comes: () =>
      runEnds('failed', async () => {
        throw new TaggedError(tag, 'no');
      }),
    goes: () => runEnds('completed', async () => null),
  });

  const verdict = (agree: number, problems: string[]) => {
    const none = { missing: 0, extra: 0, stale: 0, different: 0, repaired: 0, incomplete: 0 };
    const part = { runId: randomUUID(), organizationId: '10', module: 'item' };
    const judged = judge({ records: 10, agree, ...none }, 0, problems);
    return db.transaction().execute((trx) => storeVerdict(trx, part, judged, new Date()));
  };

  let reconcile: Awaited<ReturnType<typeof stage>>['run'];

  return {
    workflow_without_progress: {
      comes: () => start(db, NAME),
      later: 16 * 60,
      goes: () =>
        withWorker(
          async () => null,
          async () => {
            const { id } = await db.selectFrom('tds_workflows').select('id').executeTakeFirstOrThrow();
            await ended(id, 'completed');
          },
        ),
    },
    workflow_failed_for_good: fails('ValidationError'),
    workflow_failed: fails('NetworkError'),
    deletions_withheld: {
      async comes() {
        const { client, run } = await stage(t, database, {});
        reconcile = run;
        await sql`
          insert into books_records (organization_id, module, entity_id, version, record, complete, received_at)
          select ${client.organizationId}, 'item', n::text, now(), '{}', true, now() - interval '1 hour'
          from generate_series(1, 40) n`.execute(db);
        await run('Reconcile', { modules: ['item'] });
      },
      async goes() {
        await sql`update books_records set deleted_at = now()`.execute(db);
        await reconcile('Reconcile', { modules: ['item'] });
      },
    },
    module_differs: {
      comes: () => verdict(9, ['an event of item that carries what differs is a dead letter']),
      goes: () => verdict(10, []),
    },
  };
}

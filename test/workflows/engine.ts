/** A worker's loop for runs without a worker around it, and workflows made for tests. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { Type } from 'typebox';
import type { Database } from '../../src/db/database.ts';
import type { Logger } from '../../src/log.ts';
import { ProcessMetrics } from '../../src/monitor/prometheus/process-metrics.ts';
import { WorkflowLoop } from '../../src/worker/workflow-loop.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import { startRun } from '../../src/workflows/start.ts';
import type { Json, Plan, Run, WorkflowDefinition } from '../../src/workflows/workflow.ts';
import { silentLog, type Teardown, type TestDatabase } from '../helper.ts';

export const PLAN: Plan = { records: 600, calls: 3, days: 0.1, modules: { invoice: { pages: 3 } } };

/** A workflow that takes any payload and does what `run` says. */
export function workflow(name: string, run: (run: Run) => Promise<Json>): WorkflowDefinition {
  return { name, payload: Type.Object({}), plan: async () => PLAN, run };
}

export type Page = {
  fetch?(page: number, run: Run, attempt: number): unknown;
  write?(page: number, run: Run): unknown;
};

/** A workflow of numbered pages; each page that is written leaves a row in test_pages and counts as progress. */
export function pages(name: string, count: number, { fetch, write }: Page = {}): WorkflowDefinition {
  return workflow(name, async (run) => {
    let sum = 0;
    for (let page = 1; page <= count; page += 1) {
      sum += await run.activity(`page ${page}`, {
        fetch: async (attempt) => fetch?.(page, run, attempt),
        async write(trx) {
          await sql`insert into test_pages (workflow_id, page) values (${run.id}, ${page})`.execute(trx);
          run.progress.pages += 1;
          await write?.(page, run);
          return page;
        },
      });
    }
    return { sum };
  });
}

/** Where test workflows write. No key: a page that is written twice shows. */
export async function createPages(db: Database): Promise<void> {
  await sql`create table if not exists test_pages (workflow_id uuid not null, page int not null)`.execute(db);
}

export async function writtenPages(db: Database, id: string): Promise<number[]> {
  const { rows } = await sql<{ page: number }>`
    select page from test_pages where workflow_id = ${id} order by ctid`.execute(db);
  return rows.map(({ page }) => page);
}

export type TestWorker = { workerId: string; loop: WorkflowLoop };

/** A registered worker whose loop runs until teardown. It hears no notifications: wake it, or let it poll. */
export async function testWorker(
  t: Teardown,
  { db, pool }: TestDatabase,
  definitions: WorkflowDefinition[],
  { log = silentLog, concurrency = 2, turnMs = 30_000 }: { log?: Logger; concurrency?: number; turnMs?: number } = {},
): Promise<TestWorker> {
  const workerId = randomUUID();
  await register(db, workerId);
  const loop = new WorkflowLoop(
    { workerId, log, metrics: new ProcessMetrics() },
    {
      queue: db,
      runs: { db, pool, retrySeconds: [0, 0, 0, 0, 0], turnMs },
      ...{ workflows: new Workflows(definitions), concurrency, pollMs: 20 },
    },
  );
  loop.start();
  t.teardown(() => loop.stop(0));
  return { workerId, loop };
}

/** A living worker's row, as its heartbeat writes it. */
export async function register(db: Database, workerId: string): Promise<void> {
  await sql`insert into tds_workers (worker_id, host, pid, expires_at, concurrency)
    values (${workerId}, 'test', 1, now() + interval '1 hour', 1)`.execute(db);
}

/** The worker is found dead, as the queue's rescue would. */
export async function bury(db: Database, workerId: string): Promise<void> {
  await sql`update tds_workers set ended_at = now() where worker_id = ${workerId}`.execute(db);
}

export async function start(db: Database, name: string, organizationId = '10'): Promise<string> {
  const request = { definition: { name }, organizationId, payload: { organization_id: organizationId } };
  const started = await db.transaction().execute((trx) => startRun(trx, request, 'ann'));
  return started.id;
}

export async function statusOf(db: Database, id: string): Promise<string> {
  const { status } = await db
    .selectFrom('tds_workflows')
    .select('status')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  return status;
}

import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import t from 'tap';
import { Type } from 'typebox';
import { Workflows } from '../../src/workflows/registry.ts';
import type { WorkflowStatus } from '../../src/workflows/state.ts';
import type { WorkflowDefinition } from '../../src/workflows/workflow.ts';
import { waitFor } from '../helper.ts';
import { pages } from '../workflows/engine.ts';
import { openConsole } from './console.ts';

const reconcile: WorkflowDefinition = {
  ...pages('Reconcile', 1),
  payload: Type.Object({ approved_run: Type.Optional(Type.String()) }),
  approve: ({ id }) => ({ name: 'Reconcile', payload: { organization_id: '10', approved_run: id } }),
};
const { db, visit, url } = await openConsole(t, new Workflows([reconcile], ['10']));

const REFUSED = { message: '/invoices: Zoho answered 503.', tag: 'ServiceUnavailableError', cause: [] };

/** A run, with an activity that is completed, one that has failed and a line of its log. */
async function addRun(name: string, status: WorkflowStatus, result: object | null = null): Promise<string> {
  const id = randomUUID();
  const progress = { module: 'invoice', records: 400, records_total: 1450, pages: 1, calls: 405 };
  await sql`
    insert into tds_workflows (id, name, organization_id, status, payload, result, progress, started_by, created_at)
    values (${id}, ${name}, '10', ${status}, '{"modules":["invoice"]}', ${JSON.stringify(result)}::jsonb, ${progress}, 'ann',
      clock_timestamp())`.execute(db);
  await sql`
    insert into tds_workflow_activities (workflow_id, name, position, status, attempt, started_at, completed_at, output, error)
    values (${id}, 'invoice page 1', 1, 'completed', 1, now(), now(), '{}', null),
      (${id}, 'invoice page 2', 2, 'failed', 6, now(), now(), null, ${JSON.stringify(REFUSED)}::jsonb)`.execute(db);
  await sql`insert into tds_workflow_logs (workflow_id, message) values (${id}, 'started by ann')`.execute(db);
  return id;
}

const statusOf = async (id: string) =>
  (await db.selectFrom('tds_workflows').select('status').where('id', '=', id).executeTakeFirstOrThrow()).status;

t.test('without workflows nothing is said of them', async (t) => {
  const page = await visit();
  t.notOk(await page.locator('#runs-section').isVisible());
});

t.test('runs are listed with what they were started with, how far they are and what they failed with', async (t) => {
  await addRun('Reconcile', 'completed', { verdict: 'agrees', modules: {} });
  await addRun('SyncAll', 'failed', REFUSED);
  const page = await visit();
  const runs = page.locator('#runs > .item');
  t.match(
    await runs.nth(0).innerText(),
    /failed SyncAll of 10\s+ServiceUnavailableError: \/invoices: Zoho answered 503\./,
  );
  t.match(await runs.nth(0).innerText(), /invoice: 400 of 1,450 records, 1 page, 405 calls of Zoho Books/);
  t.match(await runs.nth(1).innerText(), /completed Reconcile of 10\s+Verdict: agrees/);
  await runs.nth(0).getByText('Payload').click();
  await runs.nth(0).getByText('"invoice"').waitFor();
});

t.test('they are filtered by status and text, which stand in the address', async (t) => {
  await addRun('SyncAll', 'failed', REFUSED);
  await addRun('Reconcile', 'failed', { message: 'refused', tag: 'ValidationError', cause: [] });
  await addRun('SyncChanged', 'completed', {});
  const page = await visit();
  const shows = (text: string) => page.locator('#runs-shown').getByText(text).waitFor();
  await shows('3 workflows, newest first.');
  await page.getByLabel('Status of workflows').selectOption('Failed');
  await page.getByRole('button', { name: 'Find workflows' }).click();
  await shows('2 workflows, newest first.');
  await page.getByLabel('Id, name, organization, payload or error').fill('answered 503');
  await page.keyboard.press('Enter');
  await shows('1 workflow, newest first.');
  t.equal(page.url(), `${url}?workflows=failed&workflow=answered+503`);
  await page.reload();
  await shows('1 workflow, newest first.');
  t.equal(await page.getByLabel('Status of workflows').inputValue(), 'failed');
  await page.goBack();
  await shows('2 workflows, newest first.');
  await page.getByLabel('Id, name, organization, payload or error').fill('nowhere');
  await page.keyboard.press('Enter');
  await page.getByText('No workflow is like this.').waitFor();
});

t.test('the activities and the log of a run stay open while it moves on', async () => {
  const id = await addRun('SyncAll', 'running');
  const page = await visit();
  await page.getByText('Activities and log').click();
  await page.getByRole('table', { name: 'Activities' }).getByText('ServiceUnavailableError: /invoices').waitFor();
  await page.getByRole('table', { name: 'Log' }).getByText('started by ann').waitFor();
  await sql`insert into tds_workflow_logs (workflow_id, message) values (${id}, 'waits 60 s')`.execute(db);
  await sql`update tds_workflows set updated_at = clock_timestamp() where id = ${id}`.execute(db);
  await page.getByRole('table', { name: 'Log' }).getByText('waits 60 s').waitFor();
});

t.test('a failed run is retried after a question that names its error', async (t) => {
  const id = await addRun('SyncAll', 'failed', REFUSED);
  const page = await visit();
  await page.getByRole('button', { name: `Retry SyncAll ${id}` }).click();
  t.match(await page.locator('#confirm').innerText(), /503[\s\S]*Is the cause removed\?/);
  await page.keyboard.press('Escape');
  await page.locator('#confirm').waitFor({ state: 'hidden' });
  t.equal(await statusOf(id), 'failed');
  await page.getByRole('button', { name: `Retry SyncAll ${id}` }).click();
  await page.locator('#confirm-yes').click();
  await page.getByText('SyncAll: retried.').waitFor();
  t.equal(await statusOf(id), 'running');
});

t.test('a run is paused, goes on, and is terminated after a question', async () => {
  const id = await addRun('SyncAll', 'running');
  const page = await visit();
  for (const [deed, status] of [
    ['Pause', 'paused'],
    ['Resume', 'running'],
    ['Terminate', 'terminated'],
  ] as const) {
    await page.getByRole('button', { name: `${deed} SyncAll ${id}` }).click();
    if (deed === 'Terminate') await page.locator('#confirm-yes').click();
    await waitFor(status, async () => (await statusOf(id)) === status);
    await page.mouse.move(3, 3);
    await page.mouse.move(30, 30);
    await page.locator('#runs .tag').getByText(status).waitFor();
  }
});

t.test('deletions that a reconciliation withheld are approved once, for a reason', async (t) => {
  const modules = {
    contact: { withheld_deletions: 0 },
    invoice: { withheld_deletions: 1200 },
    bill: { withheld_deletions: 34 },
  };
  const id = await addRun('Reconcile', 'completed', { verdict: 'withheld', modules });
  const page = await visit();
  await page.getByRole('button', { name: `Approve Reconcile ${id}` }).click();
  t.match(await page.locator('#approve').innerText(), /Approve 1,234 deletions\?\s+bill: 34, invoice: 1,200\s/);
  await page.locator('#approve-reason').fill('the old invoices were deleted on purpose');
  await page.keyboard.press('Enter');
  await page.getByText('Reconcile: approved.').waitFor();
  const { rows } = await sql`
    select status, payload from tds_workflows where id = (select approved_as from tds_workflows where id = ${id})`.execute(
    db,
  );
  t.match(rows, [{ status: 'running', payload: { approved_run: id } }]);
  const { rows: deeds } = await sql`select detail from tds_audit_log where action = 'workflow.approve'`.execute(db);
  t.match(deeds, [{ detail: { reason: 'the old invoices were deleted on purpose' } }]);
  await page.mouse.move(3, 3);
  await page.mouse.move(30, 30);
  await page.getByRole('button', { name: 'Pause Reconcile' }).waitFor();
  t.equal(await page.getByRole('button', { name: 'Approve' }).count(), 0);
});

import { sql } from 'kysely';
import t from 'tap';
import { pauseState, resume } from '../../src/queue/pause.ts';
import { quarantine } from '../../src/queue/quarantine.ts';
import { waitFor } from '../helper.ts';
import { arrive, Claimer } from '../queue/engine.ts';
import { addDeadLetters, countPending, openConsole } from './console.ts';

const { system, db, visit } = await openConsole(t);
const { pool } = system;

t.beforeEach(() => sql`truncate tds_retry_runs cascade`.execute(db));

t.test('the queue is paused for a reason, says so to everybody, and is resumed', async (t) => {
  const page = await visit();
  await page.locator('#queue-deeds').getByRole('button', { name: 'Pause' }).click();
  await page.locator('#pause-reason').fill('5xx from Zoho Books');
  await page.keyboard.press('Enter');
  await page.getByText('Paused by local: 5xx from Zoho Books.').waitFor();
  t.match(await pauseState(db), { paused: true, reason: '5xx from Zoho Books' });
  await page.locator('#queue-deeds').getByRole('button', { name: 'Resume' }).click();
  await page.locator('#queue-deeds').getByRole('button', { name: 'Pause' }).waitFor();
  t.match(await pauseState(db), { paused: false });
});

t.test('Cancel pauses nothing', async (t) => {
  const page = await visit();
  await page.locator('#queue-deeds').getByRole('button', { name: 'Pause' }).click();
  await page.locator('#pause').getByRole('button', { name: 'Cancel' }).click();
  await page.locator('#pause').waitFor({ state: 'hidden' });
  t.match(await pauseState(db), { paused: false });
});

t.test('what waits for its next attempt runs now', async (t) => {
  await arrive(pool, ['a']);
  await sql`update tds_sync_queue set status = 'retry', run_at = now() + interval '1 hour'`.execute(db);
  const page = await visit();
  await page.getByRole('button', { name: 'Run what waits' }).click();
  await page.getByText('1 events run now.').waitFor();
  const { rows } = await sql<{ due: boolean }>`select run_at <= now() as due from tds_sync_queue`.execute(db);
  t.same(rows, [{ due: true }]);
});

t.test('events that hang in a worker are released after a look at how many there are', async (t) => {
  const page = await visit();
  await page.getByRole('button', { name: 'Release stuck events' }).click();
  await page.getByText('No event has been in hand for over an hour.').waitFor();
  await arrive(pool, ['a', 'b']);
  await new Claimer(pool).claim();
  await sql`update tds_sync_queue set started_at = now() - interval '2 hours'`.execute(db);
  await page.getByRole('button', { name: 'Release stuck events' }).click();
  await page.getByRole('heading', { name: 'Release 2 events?' }).waitFor();
  await page.locator('#confirm-yes').click();
  await page.getByText('2 events released.').waitFor();
  t.equal(await countPending(db), 2);
});

t.test('what follows from the queue is rebuilt after a look at what differs', async (t) => {
  await arrive(pool, ['a', 'b']);
  const page = await visit();
  await sql`alter table tds_queue_waiting disable trigger user`.execute(db);
  await sql`delete from tds_queue_waiting`.execute(db);
  await sql`alter table tds_queue_waiting enable trigger user`.execute(db);
  await page.getByRole('button', { name: 'Rebuild' }).click();
  await page.getByText('waiting events').waitFor();
  await page.locator('#confirm-yes').click();
  await page.getByText(/^Rebuilt: /).waitFor();
  const { rows } = await sql`select from tds_queue_waiting`.execute(db);
  t.equal(rows.length, 2);
  await page.getByRole('button', { name: 'Rebuild' }).click();
  await page.getByText('All counts and lists agree with the queue: nothing to rebuild.').waitFor();
});

t.test('all dead letters are retried as one careful run, for a reason', async (t) => {
  await addDeadLetters(db, { count: 3 });
  const page = await visit();
  await page.getByRole('button', { name: 'Retry all failed' }).click();
  await page.getByRole('heading', { name: 'Retry 3 dead letters?' }).waitFor();
  t.match(await page.locator('#retry-all-text').innerText(), /3 events failed for a cause .* The first one goes alone/);
  await page.locator('#retry-all-reason').fill('the contact exists now');
  await page.keyboard.press('Enter');
  await page.getByText('Retry of 3 dead letters begun.').waitFor();
  t.match(await db.selectFrom('tds_retry_runs').selectAll().execute(), [
    { reason: 'the contact exists now', selection: { filter: {} }, total: 3 },
  ]);
});

t.test('how far the retry is stands on the page, which pauses, resumes and cancels it', async (t) => {
  await addDeadLetters(db, { count: 3 });
  const page = await visit();
  const run = page.locator('#retry-run');
  t.notOk(await run.isVisible(), 'none yet');
  await page.getByRole('button', { name: 'Retry all failed' }).click();
  await page.locator('#retry-all-reason').fill('the contact exists now');
  await page.keyboard.press('Enter');
  await run.getByText('Retry of 3 dead letters: running').waitFor();
  await run.getByText('0 completed, 0 failed again, 0 in the queue, 3 to come').waitFor();
  for (const [deed, status] of [
    ['Pause', 'paused'],
    ['Resume', 'running'],
    ['Cancel', 'cancelled'],
  ]) {
    await run.getByRole('button', { name: `${deed} the retry` }).click();
    await run.getByText(`Retry of 3 dead letters: ${status}`).waitFor();
    t.match(await db.selectFrom('tds_retry_runs').select('status').execute(), [{ status }]);
  }
  t.match(await run.innerText(), /cancelled by local/);
  t.equal(await run.getByRole('button').count(), 0, 'it has ended');
});

t.test('a retry that stopped by itself says why for an hour', async (t) => {
  await addDeadLetters(db, { count: 2 });
  const page = await visit();
  await page.getByRole('button', { name: 'Retry all failed' }).click();
  await page.locator('#retry-all-reason').fill('the contact exists now');
  await page.keyboard.press('Enter');
  await page.locator('#retry-run').getByText('running').waitFor();
  const end = (minutes: number) =>
    sql`update tds_retry_runs set status = 'stopped', status_reason = '1 of 1 failed',
      ended_at = now() - ${minutes} * interval '1 minute'`.execute(db);
  await end(59);
  const soon = await visit();
  t.match(await soon.locator('#retry-run').innerText(), /2 dead letters: stopped[\s\S]*1 of 1 failed/);
  await end(61);
  const later = await visit();
  t.notOk(await later.locator('#retry-run').isVisible());
});

t.test('what an operator took out of the queue offers its release, and no retry', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  await db.transaction().execute((trx) => quarantine(trx, id, 'ann', 'Duplicate event'));
  const page = await visit();
  const letter = page.locator('#dead-letters > .item');
  t.match(await letter.innerText(), /Duplicate event[\s\S]*taken out of the queue by ann/);
  t.equal(await letter.getByRole('button', { name: /Retry|Parse again/ }).count(), 0);
  await letter.getByRole('button', { name: /^Release/ }).click();
  await waitFor('its release', async () => (await countPending(db)) === 1);
});

t.teardown(() => resume(db));

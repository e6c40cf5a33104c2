import t from 'tap';
import { listen } from '../../src/api/server.ts';
import { addAlert, addDeadLetter, apiOn, OPERATORS, testApi } from '../api/client.ts';
import { openBrowser, openPage } from './chromium.ts';

const system = await testApi(t, { basePath: '/tds' });
const { db } = system;
const url = `${await listen(system.api, { host: '127.0.0.1', port: 0 })}/tds/dashboard/`;
const browser = await openBrowser(t);

const INJECTION = '<img src=x onerror=alert(1)>';

t.beforeEach(async () => {
  await db.deleteFrom('tds_alerts').execute();
  await db.deleteFrom('tds_sync_queue').execute();
  await db.deleteFrom('tds_dead_letter_queue').execute();
  await db.deleteFrom('tds_workers').execute();
});

t.test('says that all is well when nothing is wrong', async (t) => {
  await addWorker();
  const { page, mishaps } = await openPage(browser);
  await page.goto(url);
  await page.getByRole('heading', { name: 'All is well.' }).waitFor();
  t.same(mishaps, []);
});

t.test('says first that no worker runs, and how to start one', async (t) => {
  const { page } = await openPage(browser);
  await page.goto(url);
  await page.getByRole('heading', { name: 'No worker is running.' }).waitFor();
  t.match(await page.locator('#verdict').innerText(), 'systemctl start tds-core-worker');
});

t.test('an alert is acknowledged with a click', async (t) => {
  await addWorker();
  const id = await addAlert(db);
  const { page } = await openPage(browser);
  await page.goto(url);
  await page.getByRole('heading', { name: 'Many wait.' }).waitFor();
  await page.getByRole('button', { name: 'Acknowledge Queue Backlog Warning' }).click();
  await page.getByText('acknowledged by local').waitFor();
  const alert = await db.selectFrom('tds_alerts').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  t.equal(alert.acknowledged_by, 'local');
});

t.test('a dead letter is retried with a click', async (t) => {
  await addDeadLetter(db);
  const { page } = await openPage(browser);
  await page.goto(url);
  await page.getByRole('button', { name: 'Retry contact.created' }).click();
  await page.getByText('contact.created: back in the queue.').waitFor();
  await page.locator('#dead-letters').getByText('None.').waitFor();
  const event = await db.selectFrom('tds_sync_queue').select('status').executeTakeFirst();
  t.equal(event?.status, 'pending');
});

t.test('markup in a payload and in an error stays text, and digits stay exact', async (t) => {
  await addDeadLetter(db, JSON.stringify({ name: INJECTION }).replace('}', ',"id":12345678901234567890}'));
  await db
    .updateTable('tds_dead_letter_queue')
    .set({ last_error: `<script>alert(2)</script>${INJECTION}` })
    .execute();
  const { page, mishaps } = await openPage(browser);
  await page.goto(url);
  await page.locator('#dead-letters summary').click();
  await page.locator('#dead-letters pre', { hasText: INJECTION }).waitFor();
  await page.locator('#dead-letters pre', { hasText: '12345678901234567890' }).waitFor();
  t.equal(await page.locator('main img, main script').count(), 0);
  t.same(mishaps, []);
});

t.test('a count filters the recent events, by mouse and by keyboard', async (t) => {
  await addDeadLetter(db);
  const { page } = await openPage(browser);
  await page.goto(url);
  await page.locator('#events tr').first().waitFor();
  await page.getByRole('button', { name: /Completed/ }).click();
  await page.getByText('No event has this status.').waitFor();
  await page.getByRole('button', { name: /Dead letter/ }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Recent events: dead letter' }).waitFor();
  t.equal(await page.getByRole('button', { name: /Dead letter/ }).getAttribute('aria-pressed'), 'true');
});

t.test('with tokens it asks for one, says when it is wrong, and keeps it for this tab only', async (t) => {
  const { api } = await apiOn(t, system, { operators: OPERATORS });
  const secured = `${await listen(api, { host: '127.0.0.1', port: 0 })}/dashboard/`;
  const { page } = await openPage(browser);
  await page.goto(secured);
  await page.getByLabel('Operator token').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('That token is not valid.').waitFor();
  await page.getByLabel('Operator token').fill('operator-token');
  await page.keyboard.press('Enter');
  await page.locator('#verdict h1', { hasText: '.' }).waitFor();
  t.equal(await page.evaluate('localStorage.length'), 0);
  await page.goto(secured.replace('dashboard', 'docs'));
  await page.getByText('/dashboard/queue-stats').waitFor();
});

t.test('when the API goes away it says since when, and keeps showing what it knew', async (t) => {
  const { page } = await openPage(browser);
  await page.goto(url);
  await page.locator('#verdict h1', { hasText: '.' }).waitFor();
  await page.route('**/dashboard/metrics', (route) => route.abort());
  await page.getByText('No answer from the API since').waitFor();
  t.ok(await page.locator('#verdict').isVisible());
});

for (const colorScheme of ['light', 'dark'] as const) {
  t.test(`fits a telephone in ${colorScheme} without scrolling sideways`, async (t) => {
    await addDeadLetter(db, JSON.stringify({ long: 'x'.repeat(500) }));
    const { page } = await openPage(browser, { colorScheme, viewport: { width: 360, height: 800 } });
    await page.goto(url);
    await page.locator('#events tr').first().waitFor();
    const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    t.equal(overflow, 0);
  });
}

t.test('the docs work under the base path within their content security policy', async (t) => {
  const { page, mishaps } = await openPage(browser);
  await page.goto(url.replace('dashboard/', 'docs'));
  await page.getByText('/dashboard/queue-stats').waitFor();
  t.same(mishaps, []);
});

async function addWorker(): Promise<void> {
  const worker_id = '00000000-0000-4000-8000-000000000001';
  const expires_at = new Date(Date.now() + 600_000);
  await db.insertInto('tds_workers').values({ worker_id, host: 'h', pid: 1, concurrency: 5, expires_at }).execute();
}

import t from 'tap';
import { listen } from '../../src/api/server.ts';
import { addAlert, addDeadLetter, apiOn, OPERATORS } from '../api/client.ts';
import { openPage } from './chromium.ts';
import { openConsole } from './console.ts';

const { system, db, url, browser, addWorker } = await openConsole(t);

const INJECTION = '<img src=x onerror=alert(1)>';

t.test('says that all is well when nothing is wrong', async (t) => {
  await addWorker();
  const { page, mishaps } = await openPage(browser);
  await page.goto(url);
  await page.getByRole('heading', { name: 'All is well.' }).waitFor();
  t.same(mishaps, []);
});

for (const [supervisor, command] of [
  ['systemd', 'systemctl restart tds-core-worker'],
  ['npm start', 'npm start'],
  ['none', 'systemctl restart tds-core-worker'],
] as const) {
  t.test(`says first that no worker runs, and the command that helps with ${supervisor}`, async (t) => {
    const { page } = await openPage(browser);
    await page.route('**/dashboard/whoami', (route) =>
      route.fulfill({ json: { name: 'local', role: 'admin', supervisor } }),
    );
    await page.goto(url);
    await page.getByRole('heading', { name: 'No worker is running.' }).waitFor();
    t.equal(await page.locator('#verdict code').innerText(), command);
    const advice = await page.locator('#verdict').innerText();
    t.equal(advice.includes('systemctl'), supervisor !== 'npm start', advice);
  });
}

t.test('the workers stand in a line: how many, how fresh, how busy', async (t) => {
  const { page } = await openPage(browser);
  let workers: object = { alive: 2, oldest_heartbeat_age_seconds: 4, in_flight: 7 };
  await page.route('**/dashboard/metrics', async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ json: { ...(await answer.json()), workers } });
  });
  await page.goto(url);
  await page.getByText('2 alive, oldest heartbeat 4 s ago, 7 events in hand').waitFor();
  workers = { alive: 0, oldest_heartbeat_age_seconds: null, in_flight: 0 };
  await page.reload();
  await page.getByText('none alive').waitFor();
  t.ok(await page.getByRole('heading', { name: 'No worker is running.' }).isVisible());
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

t.test('with tokens it asks for one, says when it is wrong, and keeps it nowhere', async (t) => {
  const { api } = await apiOn(t, system, { operators: OPERATORS });
  const secured = `${await listen(api, { host: '127.0.0.1', port: 0 })}/dashboard/`;
  const { page } = await openPage(browser);
  await page.goto(secured);
  await page.getByLabel('Operator token').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('That token is not valid.').waitFor();
  t.equal(await page.getByLabel('Operator token').getAttribute('aria-invalid'), 'true');
  const style = (selector: string, property: string) =>
    page.evaluate<string>(`getComputedStyle(document.querySelector('${selector}')).${property}`);
  t.not(await style('#sign-in-error', 'color'), await style('#sign-in-hint', 'color'), 'the refusal looks like one');
  t.not(await style('#sign-in-error', 'backgroundColor'), await style('#sign-in-hint', 'backgroundColor'));
  t.not(
    await style('#sign-in button', 'backgroundColor'),
    await style('#token', 'backgroundColor'),
    'so does the button',
  );
  await page.getByLabel('Operator token').fill('operator-token');
  await page.keyboard.press('Enter');
  await page.locator('#verdict h1', { hasText: '.' }).waitFor();
  const kept = 'localStorage.length + sessionStorage.length + document.cookie.length';
  t.equal(await page.evaluate(kept), 0, 'no script can read what keeps it signed in');
  await page.reload();
  await page.getByText('operator (operator)').waitFor();
  await page.goto(secured.replace('dashboard', 'docs'));
  await page.getByText('/dashboard/queue-stats').waitFor();
  await page.goto(secured);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Operator token').waitFor();
  t.equal((await db.selectFrom('tds_sessions').selectAll().execute()).length, 0, 'the session is gone for good');
});

t.test('when the API goes away it says since when, and keeps showing what it knew', async (t) => {
  const { page } = await openPage(browser);
  await page.goto(url);
  await page.locator('#verdict h1', { hasText: '.' }).waitFor();
  await page.route('**/dashboard/metrics', (route) => route.abort());
  await page.getByText('No answer from the API since').waitFor();
  t.equal(await page.locator('#verdict h1').innerText(), 'The API does not answer.');
  t.ok(await page.locator('#counts').isVisible());
  await page.unroute('**/dashboard/metrics');
  await page.getByRole('heading', { name: 'No worker is running.' }).waitFor();
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

import t from 'tap';
import { listen } from '../../src/api/server.ts';
import { openDatabase } from '../../src/db/database.ts';
import { apiOn, OPERATORS } from '../api/client.ts';
import { waitFor } from '../helper.ts';
import { openPage } from './chromium.ts';
import { addDeadLetters, openConsole } from './console.ts';

const { db, url, browser, addWorker } = await openConsole(t);

/** Nothing listens at port 1. */
const NOWHERE = 'postgres://tds@127.0.0.1:1/tds';

t.test('with the database away the page says so, and that the API runs; signing in works all the same', async (t) => {
  const { db, pool, close } = openDatabase({ url: NOWHERE, max: 1, applicationName: 'tds-test' });
  t.teardown(close);
  const { api } = await apiOn(t, { db, pool }, { operators: OPERATORS });
  const { page, mishaps } = await openPage(browser);
  await page.goto(`${await listen(api, { host: '127.0.0.1', port: 0 })}/dashboard/`);
  await page.getByLabel('Operator token').fill('operator-token');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'The database is away.' }).waitFor();
  t.match(await page.locator('#verdict-advice').innerText(), /The API runs, but PostgreSQL does not answer/);
  t.notOk(await page.locator('#board').isVisible(), 'no figures, rather than calm ones');
  t.notOk(await page.locator('#sign-in').isVisible());
  t.match(await page.title(), /The database is away/);
  t.same(mishaps, []);
});

t.test('when it goes away the figures stay, dimmed, and come back with it', async (t) => {
  await addWorker();
  await addDeadLetters(db, { count: 2 });
  const { page } = await openPage(browser);
  await page.goto(url);
  await page.locator('#dead-letters > .item').first().waitFor();
  const asked: string[] = [];
  const body = JSON.stringify({ status: 503, code: 'database_unavailable', detail: 'The database does not answer.' });
  await page.route('**/*', (route) => {
    asked.push(new URL(route.request().url()).pathname);
    return route.fulfill({ status: 503, contentType: 'application/problem+json', body });
  });
  await page.getByRole('heading', { name: 'The database is away.' }).waitFor();
  await page.getByText('What you see is from').waitFor();
  t.same([...new Set(asked)], ['/tds/dashboard/metrics'], 'one request at a time, until it is back');
  t.equal(await page.locator('#dead-letters > .item').count(), 2);
  t.ok(await page.locator('body.is-stale').count());
  await page.unroute('**/*');
  // Asked at once, as when somebody comes back to the tab; by itself it takes up to 15 s.
  await page.evaluate('document.dispatchEvent(new Event("visibilitychange"))');
  await page.getByRole('heading', { name: '2 events could not be processed.' }).waitFor();
  t.equal(await page.locator('body.is-stale').count(), 0);
});

t.test('a schema that is not migrated and a proxy without an API behind it are told apart', async (t) => {
  const { page } = await openPage(browser);
  let answer = {
    status: 503,
    body: JSON.stringify({ status: 503, code: 'not_migrated', detail: 'Run npm run migrate.' }),
  };
  await page.route('**/dashboard/whoami', (route) => route.fulfill(answer));
  await page.goto(url);
  await page.getByRole('heading', { name: 'The database is not migrated.' }).waitFor();
  t.match(await page.locator('#verdict-advice').innerText(), 'Run npm run migrate.');
  answer = { status: 502, body: '<html>Bad Gateway</html>' };
  await page.reload();
  await page.getByRole('heading', { name: 'The API does not answer.' }).waitFor();
});

t.test('a part that cannot be read does not take the rest with it', async (t) => {
  await addDeadLetters(db, { count: 2 });
  const { page } = await openPage(browser);
  const body = JSON.stringify({ status: 503, code: 'timeout', detail: 'The answer took too long.' });
  for (const part of ['**/activity?*', '**/dead-letter/groups']) {
    await page.route(part, (route) => route.fulfill({ status: 503, body }));
  }
  await page.goto(url);
  await page.locator('#dead-letters > .item').first().waitFor();
  t.notOk(await page.locator('#activity').isVisible());
  t.notOk(await page.locator('#causes').isVisible());
});

t.test('every request by the clock is marked as such, for the log', async (t) => {
  await addDeadLetters(db, { count: 2 });
  const { page } = await openPage(browser);
  const unmarked: string[] = [];
  let polls = 0;
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (request.headers()['x-tds-poll'] !== '1') unmarked.push(pathname);
    else if (pathname.endsWith('/metrics')) polls += 1;
  });
  await page.goto(url);
  await waitFor('a third look at the figures', () => polls === 3);
  t.same(
    unmarked.filter((path) => !/\/dashboard\/([\w-]+\.\w+)?$/.test(path)),
    ['/tds/dashboard/whoami'],
  );
});

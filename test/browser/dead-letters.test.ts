import type { Page } from 'playwright-core';
import t from 'tap';
import { listen } from '../../src/api/server.ts';
import { addAlert, apiOn, OPERATORS } from '../api/client.ts';
import { waitFor } from '../helper.ts';
import { openPage } from './chromium.ts';
import { addDeadLetters, countPending, openConsole } from './console.ts';

const { system, db, visit, browser } = await openConsole(t);

const ITEMS = '#dead-letters > .item';
const PROBLEM = 'application/problem+json';

t.test('of 144 dead letters every one can be reached', async (t) => {
  await addDeadLetters(db, { count: 144 });
  const page = await visit();
  await page.getByText('The latest 20 of 144.').waitFor();
  for (const count of [70, 120, 144]) {
    await page.locator('#more-letters').click();
    await waitFor(`${count} dead letters`, async () => (await page.locator(ITEMS).count()) === count);
  }
  t.notOk(await page.locator('#more-letters').isVisible());
});

t.test('a group is retried after a confirmation with its count, and only that group', async (t) => {
  await addDeadLetters(db, { count: 12 });
  await addDeadLetters(db, { count: 3, error: 'no such tax' });
  const page = await visit();
  await page.getByRole('button', { name: 'Retry these 12' }).click();
  await page.getByRole('heading', { name: 'Retry 12 events?' }).waitFor();
  t.match(await page.locator('#confirm-cause').innerText(), 'no contact with id');
  await page.locator('#confirm-yes').click();
  await page.getByText('12 back in the queue.').waitFor();
  t.equal(await countPending(db), 12);
  await page.getByRole('heading', { name: 'Dead letters (3)' }).waitFor();
});

t.test('no, Esc and Cancel leave the group alone', async (t) => {
  await addDeadLetters(db, { count: 2 });
  const page = await visit();
  for (const refuse of [
    () => page.keyboard.press('Escape'),
    () => page.getByRole('button', { name: 'Cancel' }).click(),
  ]) {
    await page.getByRole('button', { name: 'Retry these 2' }).click();
    await page.locator('#confirm').waitFor();
    await refuse();
    await page.locator('#confirm').waitFor({ state: 'hidden' });
  }
  t.notOk(await page.locator('#bulk').isVisible());
  t.equal(await countPending(db), 0);
});

t.test('a retry that fails is shown and does not stop the others', async (t) => {
  const ids = await addDeadLetters(db, { count: 5 });
  const page = await visit();
  await refuse(page, `**/dead-letter/${ids[2]}/retry`, 409, 'It is not open any more.');
  await retryAll(page, 5);
  await page.getByText('4 back in the queue, 1 failed.').waitFor();
  await page.getByText(`${ids[2]}: It is not open any more.`).waitFor();
  t.equal(await countPending(db), 4);
});

for (const status of [403, 503]) {
  t.test(`answer ${status} ends the retrying of a group, and says so`, async (t) => {
    const ids = await addDeadLetters(db, { count: 5 });
    const page = await visit();
    // The oldest goes first: the last two have been retried by then.
    await refuse(page, `**/dead-letter/${ids[2]}/retry`, status, 'Not now.');
    await retryAll(page, 5);
    await page.getByText('2 back in the queue. It ended: Not now. 3 dead letters left as they were.').waitFor();
    t.equal(await countPending(db), 2);
  });
}

t.test('answer 401 ends it with the sign-in form', async (t) => {
  await addDeadLetters(db, { count: 3 });
  const page = await visit();
  await refuse(page, '**/retry', 401, 'Who are you?');
  await refuse(page, '**/metrics', 401, 'Who are you?');
  await retryAll(page, 3);
  await page.getByLabel('Operator token').waitFor();
  t.equal(await countPending(db), 0);
});

t.test('retrying a group shows how far it is and can be stopped', async (t) => {
  await addDeadLetters(db, { count: 6 });
  const page = await visit();
  const gate = Promise.withResolvers<void>();
  let asked = 0;
  await page.route('**/retry', async (route) => {
    asked += 1;
    if (asked === 3) await gate.promise;
    await route.continue();
  });
  await retryAll(page, 6);
  await page.getByText('2 of 6').waitFor();
  t.equal(await page.getByRole('progressbar').getAttribute('value'), '2');
  t.ok(await page.getByRole('button', { name: /^Retry these/ }).isDisabled(), 'one group at a time');
  await page.getByRole('button', { name: 'Stop' }).click();
  gate.resolve();
  await page.getByText('3 back in the queue. Stopped by you. 3 dead letters left as they were.').waitFor();
  t.equal(await countPending(db), 3);
});

t.test('quarantined ones offer to be parsed again, alone and as a group', async (t) => {
  await addDeadLetters(db, { count: 3, kind: 'quarantined', error: 'not JSON' });
  const page = await visit();
  await page.getByRole('button', { name: 'Parse again contact.created 46001' }).click();
  await page.getByText('contact.created: back in the queue.').waitFor();
  t.equal(await countPending(db), 1);
  await page.mouse.move(5, 5);
  await page.getByRole('button', { name: 'Parse these 2 again' }).click();
  await page.getByRole('heading', { name: 'Parse 2 deliveries again?' }).waitFor();
  await page.locator('#confirm-yes').click();
  await page.getByText('2 back in the queue.').waitFor();
  t.equal(await countPending(db), 3);
});

t.test('a second click while a retry is under way does nothing', async (t) => {
  await addDeadLetters(db, { count: 3 });
  const page = await visit();
  const gate = Promise.withResolvers<void>();
  const posts: string[] = [];
  await page.route('**/retry', async (route) => {
    posts.push(route.request().url());
    await gate.promise;
    await route.continue();
  });
  const button = page.getByRole('button', { name: 'Retry contact.created 46001' });
  await button.dblclick();
  await button.click({ force: true });
  gate.resolve();
  await page.getByText('contact.created: back in the queue.').waitFor();
  await button.click({ force: true });
  t.equal(posts.length, 1);
  t.equal(await countPending(db), 1);
});

t.test('a retried row keeps its place until the pointer moves', async (t) => {
  await addDeadLetters(db, { count: 4 });
  const page = await visit();
  const button = page.getByRole('button', { name: 'Retry contact.created 46002' });
  await button.scrollIntoViewIfNeeded();
  const before = await button.boundingBox();
  await button.click();
  // The tile is drawn all the same: by now the list would have been redrawn as well.
  await page.getByRole('button', { name: /Dead letter.*3/ }).waitFor();
  t.same(await button.boundingBox(), before);
  // Where the pointer is: moving it would let the list be redrawn before the click.
  await page.mouse.down();
  await page.mouse.up();
  t.equal(await countPending(db), 1, 'nothing else slid below the pointer');
  await page.mouse.move(300, 300);
  await button.waitFor({ state: 'detached' });
  t.equal(await page.locator(ITEMS).count(), 3);
});

t.test('by keyboard the focus goes to the next row, so that Enter after Enter retries them all', async (t) => {
  await addDeadLetters(db, { count: 3 });
  const page = await visit();
  await page.getByRole('button', { name: 'Retry contact.created 46001' }).focus();
  for (const left of [2, 1]) {
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: `Dead letters (${left})` }).waitFor();
    await waitFor(
      'the focus on the next row',
      async () => (await focused(page)) === `Retry contact.created 4600${4 - left}`,
    );
  }
  await page.keyboard.press('Enter');
  await page.locator('#dead-letters').getByText('None.').waitFor();
  t.equal(await page.evaluate('document.activeElement.id'), 'dead-letters-title');
  t.equal(await countPending(db), 3);
});

t.test('a retry that fails says why and can be tried again', async (t) => {
  const [id] = await addDeadLetters(db, { count: 1 });
  const page = await visit();
  await refuse(page, '**/retry', 409, 'It is not open any more.');
  const button = page.locator('#dead-letters').getByRole('button', { name: 'Retry' });
  await button.click();
  await page.getByText('It is not open any more.').waitFor();
  await page.unroute('**/retry');
  await button.click();
  await page.getByText('back in the queue').waitFor();
  t.ok(id);
  t.equal(await countPending(db), 1);
});

t.test("a viewer's buttons are disabled, with the reason; an operator's are not", async (t) => {
  await addDeadLetters(db, { count: 2 });
  await addAlert(db);
  const { api } = await apiOn(t, system, { operators: OPERATORS });
  const secured = `${await listen(api, { host: '127.0.0.1', port: 0 })}/dashboard/`;
  for (const role of ['viewer', 'operator'] as const) {
    const { page } = await openPage(browser);
    await page.goto(secured);
    await page.getByLabel('Operator token').fill(`${role}-token`);
    await page.getByRole('button', { name: 'Sign in' }).click();
    for (const name of [/^Acknowledge/, /^Retry these/, /^Retry contact/, /^Try again/]) {
      const button = page.getByRole('button', { name }).first();
      await button.waitFor();
      t.equal(await button.isDisabled(), role === 'viewer', `${name} as ${role}`);
      const reason = (await button.getAttribute('title')) ?? '';
      t.equal(reason.includes('needs the role operator'), role === 'viewer', reason);
    }
    t.equal(await page.getByText('Your role is viewer').isVisible(), role === 'viewer');
    t.ok(await page.getByText(`${role} (${role})`).isVisible());
  }
});

async function retryAll(page: Page, count: number): Promise<void> {
  await page.getByRole('button', { name: `Retry these ${count}` }).click();
  await page.locator('#confirm-yes').click();
}

async function refuse(page: Page, url: string, status: number, detail: string): Promise<void> {
  const body = JSON.stringify({ status, code: 'some_code', detail });
  await page.route(url, (route) => route.fulfill({ status, contentType: PROBLEM, body }));
}

function focused(page: Page): Promise<unknown> {
  return page.evaluate('document.activeElement.getAttribute("aria-label")');
}

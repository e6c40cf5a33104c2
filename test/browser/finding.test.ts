import { sql } from 'kysely';
import t from 'tap';
import { waitFor } from '../helper.ts';
import { addDeadLetters, openConsole } from './console.ts';

const { db, visit, url } = await openConsole(t);

t.test('a tile that filters brings the table into view and writes the address', async (t) => {
  await addDeadLetters(db, { count: 20 });
  await addEvents(60, 'completed', '77');
  const page = await visit();
  t.equal(await inView(page), false);
  await page.getByRole('button', { name: /Completed/ }).click();
  await waitFor('the table in view', () => inView(page));
  t.equal(page.url(), `${url}?status=completed`);
  t.equal(await page.getByRole('heading', { name: 'Recent events: completed' }).count(), 1);
});

t.test('the back button takes the filter away, forward brings it back, a reload keeps it', async (t) => {
  await addEvents(2, 'completed', '77');
  await addEvents(1, 'pending', '88');
  const page = await visit();
  const rows = (count: number) =>
    waitFor(`${count} rows`, async () => (await page.locator('#events tr').count()) === count);
  await page.getByRole('button', { name: /Completed/ }).click();
  await rows(2);
  await page.getByRole('button', { name: /Pending/ }).click();
  await rows(1);
  await page.goBack();
  await rows(2);
  await page.goBack();
  await rows(3);
  await page.goForward();
  await rows(2);
  await page.reload();
  await rows(2);
  t.equal(await page.getByRole('button', { name: /Completed/ }).getAttribute('aria-pressed'), 'true');
  await page.getByRole('button', { name: 'Show all' }).click();
  await rows(3);
  t.equal(page.url(), url);
});

t.test('an address with nonsense shows everything', async (t) => {
  await addEvents(1, 'completed', '77');
  const page = await visit('?status=broken&x=1');
  await page.locator('#events tr').first().waitFor();
  t.notOk(await page.locator('#clear-filter').isVisible());
});

t.test('an entity is found in both lists, by keyboard alone, and the search is left again', async (t) => {
  await addDeadLetters(db, { count: 30, entityId: '4600' });
  await addEvents(3, 'completed', '460029');
  await addEvents(70, 'completed', '77');
  const page = await visit();
  await page.getByLabel('Entity or id').focus();
  await page.keyboard.type(' 460029 ');
  await page.keyboard.press('Enter');
  await waitFor('the events of the entity', async () => (await page.locator('#events tr:not(.error)').count()) === 4);
  t.equal(page.url(), `${url}?q=460029`);
  await page.getByText('0 matches among the latest 20 of 30.').waitFor();
  await page.getByRole('button', { name: 'Search the other 10' }).click();
  await page.getByText('1 match among all 30.').waitFor();
  await page.goBack();
  await page.getByText('The latest 20 of 30.').waitFor();
  t.equal(await page.getByLabel('Entity or id').inputValue(), '');
});

t.test('an event is found by its id, and a dead one can be tried again from there', async (t) => {
  const [id] = await addDeadLetters(db, { count: 5 });
  const page = await visit(`?q=${id}`);
  await waitFor('the one event', async () => (await page.locator('#events tr:not(.error)').count()) === 1);
  await page.getByRole('button', { name: 'Try again: contact.created 46001' }).click();
  await page.getByText('contact.created: back in the queue.').waitFor();
  await page.mouse.move(3, 3);
  await page.locator('#events').getByText('Pending').waitFor();
  t.equal(await page.locator('#dead-letters > .item').count(), 0);
});

t.test('nothing found says so', async (t) => {
  await addEvents(1, 'completed', '77');
  const page = await visit('?q=nowhere');
  await page.getByText('No event with this entity or id.').waitFor();
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.locator('#events tr').first().waitFor();
  t.equal(page.url(), url);
});

t.test('older events come with show more', async (t) => {
  await addEvents(120, 'completed', '77');
  const page = await visit();
  await page.getByText('50 events, newest first.').waitFor();
  await page.locator('#more-events').click();
  await page.getByText('120 events, newest first.').waitFor();
  t.notOk(await page.locator('#more-events').isVisible());
});

for (const permissions of [['clipboard-read', 'clipboard-write'], []]) {
  t.test(
    `an id is copied with a click, ${permissions.length > 0 ? 'by the clipboard' : 'and without its leave'}`,
    async (t) => {
      const [id] = await addDeadLetters(db, { count: 1 });
      const page = await visit('', { permissions });
      if (permissions.length === 0)
        await page.evaluate('Object.defineProperty(navigator, "clipboard", { value: undefined })');
      await page
        .locator('#dead-letters')
        .getByRole('button', { name: `Copy id ${id}` })
        .click();
      await page.getByText(`Copied id ${id}`).waitFor();
      await page.getByLabel('Entity or id').focus();
      await page.keyboard.press('ControlOrMeta+v');
      t.equal(await page.getByLabel('Entity or id').inputValue(), id);
    },
  );
}

async function inView(page: Awaited<ReturnType<typeof visit>>): Promise<boolean> {
  const top = (await page.locator('#events-title').boundingBox())?.y ?? -1;
  return top >= 0 && top < 200;
}

async function addEvents(count: number, status: 'completed' | 'pending', entityId: string): Promise<void> {
  await sql`
    insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id, status, completed_at)
    select id, 1, '10', 'invoice.updated', ${entityId}, ${status}, now()
    from (select gen_random_uuid() as id from generate_series(1, ${count}::int)) events`.execute(db);
}

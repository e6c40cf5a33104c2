import t from 'tap';
import { waitFor } from '../helper.ts';
import { addDeadLetters, countPending, openConsole } from './console.ts';

const { db, visit } = await openConsole(t);

const EDITED = 'contact.created: edited, and back in the queue as a new event.';

t.test('a dead letter is discarded for a reason that the audit log keeps', async (t) => {
  await addDeadLetters(db, { count: 2 });
  const page = await visit();
  await page.getByRole('button', { name: 'Discard contact.created 46001' }).click();
  await page.getByRole('heading', { name: 'Discard contact.created 46001?' }).waitFor();
  await page.locator('#discard').getByRole('button', { name: 'Discard' }).click();
  t.ok(await page.locator('#discard').isVisible(), 'not without a reason');
  await page.locator('#discard-reason').fill('a test of the sender');
  await page.keyboard.press('Enter');
  await page.getByText('discarded. For 30 days it can be restored.').waitFor();
  await page.getByRole('heading', { name: 'Dead letters (1)' }).waitFor();
  const letters = db.selectFrom('tds_dead_letter_queue').select(['entity_id', 'discard_reason']);
  t.match(await letters.where('discarded_at', 'is not', null).execute(), [
    { entity_id: '46001', discard_reason: 'a test of the sender' },
  ]);
});

t.test('Cancel and Esc discard nothing', async () => {
  await addDeadLetters(db, { count: 1 });
  const page = await visit();
  for (const leave of [
    () => page.keyboard.press('Escape'),
    () => page.locator('#discard').getByRole('button', { name: 'Cancel' }).click(),
  ]) {
    await page.getByRole('button', { name: 'Discard contact.created 46001' }).click();
    await page.locator('#discard').waitFor();
    await leave();
    await page.locator('#discard').waitFor({ state: 'hidden' });
  }
  await page.getByRole('heading', { name: 'Dead letters (1)' }).waitFor();
});

t.test('an edited record runs as a new event, with every digit of its ids', async (t) => {
  const [id] = await addDeadLetters(db, { count: 1 });
  const page = await visit();
  await page.getByRole('button', { name: 'Edit contact.created 46001' }).click();
  const record = '{"contact_id": 460000000000026049, "contact_name": "y", "balance": 10.10}';
  await page.getByLabel('Record').fill(record);
  await page.locator('#edit-reason').fill('the id was missing');
  await page.getByRole('button', { name: 'Show what differs' }).click();
  await page.getByText('/contact_id: nothing becomes 460000000000026049').waitFor();
  t.equal(await countPending(db), 0, 'a look changes nothing');
  await page.getByRole('button', { name: 'Run the edited record' }).click();
  await page.getByText(EDITED).waitFor();
  t.equal(await countPending(db), 1);
  const { payload } = await db
    .selectFrom('tds_event_edits as e')
    .innerJoin('tds_inbox_payloads as p', 'p.event_id', 'e.event_id')
    .select(({ cast, ref }) => cast<string>(ref('p.payload'), 'text').as('payload'))
    .where('e.original_id', '=', id ?? '')
    .executeTakeFirstOrThrow();
  t.match(payload, '460000000000026049');
  t.match(payload, '10.10');
});

t.test('what is no JSON, or no record, is told beside the text, which stays', async (t) => {
  await addDeadLetters(db, { count: 1 });
  const page = await visit();
  await page.getByRole('button', { name: 'Edit contact.created 46001' }).click();
  await page.locator('#edit-reason').fill('a try');
  await page.getByLabel('Record').fill('{"contact_id":');
  await page.getByRole('button', { name: 'Run the edited record' }).click();
  const complaint = () =>
    page
      .getByLabel('Record')
      .evaluate((field) => (field as unknown as { validationMessage: string }).validationMessage);
  await waitFor('the complaint', async () => (await complaint()).startsWith('This is no JSON'));
  await page.getByLabel('Record').fill('{"contact_name": "nobody"}');
  await page.getByRole('button', { name: 'Run the edited record' }).click();
  await page.locator('#edit-error', { hasText: /\w/ }).waitFor();
  t.equal(await page.getByLabel('Record').inputValue(), '{"contact_name": "nobody"}');
  t.equal(await countPending(db), 0);
});

t.test('what arrived broken has no record to edit', async (t) => {
  await addDeadLetters(db, { count: 1, kind: 'quarantined' });
  const page = await visit();
  await page.getByRole('button', { name: 'Parse again contact.created 46001' }).waitFor();
  t.equal(await page.getByRole('button', { name: /^Edit/ }).count(), 0);
  t.equal(await page.getByRole('button', { name: /^Discard/ }).count(), 1);
});

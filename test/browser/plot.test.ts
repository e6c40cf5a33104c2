import { sql } from 'kysely';
import t from 'tap';
import { waitFor } from '../helper.ts';
import { openPage } from './chromium.ts';
import { addDeadLetters, openConsole } from './console.ts';

const { db, url, browser, visit, addWorker } = await openConsole(t);

t.test('the plot has a name, its sums in words, and a table with the same numbers', async (t) => {
  await addActivity();
  const { page, mishaps } = await openPage(browser);
  await page.goto(url);
  const plot = page.getByRole('img', { name: 'The last 24 hours' });
  await plot.waitFor();
  await page.getByText('2 events arrived; 5 attempts succeeded and 1 failed.').waitFor();
  t.match(await plot.getAttribute('aria-labelledby'), 'plot-summary');
  t.equal(await plot.locator('rect.completions').count(), 1);
  t.equal(await plot.locator('rect.failures').count(), 1);
  t.equal(await plot.locator('path.arrivals').count(), 1);
  // In whichever hour they were: the next one may have begun since.
  t.equal(await plot.locator('title', { hasText: /^\d\d:00: 2 arrived, 5 completed, 1 failed$/ }).count(), 1);
  await page.getByText('As a table').click();
  const rows = page.locator('#plot-rows tr');
  t.equal(await rows.count(), 24);
  t.equal(await rows.filter({ hasText: /^\d\d:00\s*2\s*5\s*1$/ }).count(), 1);
  t.same(mishaps, []);
});

t.test('one failure among a million completions can still be seen', async (t) => {
  await sql`insert into tds_processing_totals (bucket, succeeded, failed, duration_ms) values (now(), 1000000, 1, 1)`.execute(
    db,
  );
  const page = await visit();
  const height = Number(await page.locator('rect.failures').getAttribute('height'));
  t.ok(height >= 2, `${height} px`);
});

t.test('the plot is as wide as its place, also after the window has changed', async (t) => {
  const page = await visit();
  for (const width of [390, 1440, 700]) {
    await page.setViewportSize({ width, height: 800 });
    await waitFor(`a plot for ${width} px`, () =>
      page.evaluate<boolean>(
        'document.querySelector("#plot svg").clientWidth === document.querySelector("#plot").clientWidth',
      ),
    );
    t.equal(
      await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'),
      0,
      `${width}`,
    );
  }
});

t.test('on a telephone everything is there that is on a desk', async (t) => {
  await addWorker();
  await addActivity();
  await addDeadLetters(db, { count: 3 });
  const desk = await visit('', { viewport: { width: 1440, height: 900 } });
  const phone = await visit('', { viewport: { width: 390, height: 844 } });
  for (const page of [desk, phone]) await page.locator('#events tr').first().waitFor();
  const there = await wordsOf(phone);
  const missing = [...(await wordsOf(desk))].filter((word) => !there.has(word));
  t.same(missing, []);
  const headings = await phone.evaluate<string[]>(
    '[...document.querySelectorAll("#events tr:first-child td")].map((cell) => getComputedStyle(cell, "::before").content)',
  );
  t.same(headings, ['"Status"', '"Event"', '"Entity"', '"Attempts"', '"Queued"', '"Took"']);
  const cut = await phone.evaluate<string[]>(
    '[...document.querySelectorAll("main *")].filter((node) => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX !== "visible" && !node.className.includes?.("visually-hidden") && node.clientWidth > 1).map((node) => node.id || node.className)',
  );
  t.same(cut, [], 'nothing is cut off or has to be scrolled sideways');
});

const CLOCK = /^(now|ago|seconds?|minutes?|refreshed)$/;

/** The words one can see, without numbers and what tells the time. */
async function wordsOf(page: Awaited<ReturnType<typeof visit>>): Promise<Set<string>> {
  const text = await page.locator('body').innerText();
  return new Set(text.split(/\s+/).filter((word) => /^[A-Za-z]{3,}/.test(word) && !CLOCK.test(word)));
}

async function addActivity(): Promise<void> {
  await sql`insert into tds_processing_totals (bucket, succeeded, failed, duration_ms) values (now(), 5, 1, 10)`.execute(
    db,
  );
  await sql`
    insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id, status, completed_at)
    select id, 1, '10', 'invoice.updated', '7', 'completed', now()
    from (select gen_random_uuid() as id from generate_series(1, 2)) events`.execute(db);
}

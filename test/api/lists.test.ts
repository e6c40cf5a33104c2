import { sql } from 'kysely';
import t from 'tap';
import type { Api } from '../../src/api/deps.ts';
import { addDeadLetter, testApi } from './client.ts';

type Page = { id: string; last_error?: string; error_message?: string | null };

/** All pages of a list, by its cursors. */
async function walk(api: Api, url: string): Promise<Page[][]> {
  const pages: Page[][] = [];
  let cursor = '';
  do {
    const answer = await api.inject(`${url}${cursor && `&cursor=${cursor}`}`);
    pages.push(answer.json());
    cursor = String(answer.headers['x-next-cursor'] ?? '');
  } while (cursor);
  return pages;
}

t.test('lists', async (t) => {
  const { api, db, pool } = await testApi(t);
  for (let n = 0; n < 6; n++) await addDeadLetter(db);

  for (const list of ['recent-events', 'dead-letter']) {
    const idsNow = async () => (await pool.query('select id from tds_sync_queue')).rows.map(({ id }) => id as string);
    t.test(
      `${list}: pages neither repeat nor leave out a row, and the last one says that it is the last`,
      async (t) => {
        await sql`update tds_sync_queue set queued_at = '2026-01-01T00:00:00.123456Z'`.execute(db);
        await sql`update tds_dead_letter_queue set moved_to_dlq_at = '2026-01-01T00:00:00.123456Z'`.execute(db);
        for (const limit of [1, 2, 3, 4, 6, 200]) {
          const pages = await walk(api, `/dashboard/${list}?limit=${limit}`);
          t.equal(pages.length, Math.ceil(6 / limit), `${limit} at once: no empty page at the end`);
          t.same(
            pages
              .flat()
              .map(({ id }) => id)
              .sort(),
            (await idsNow()).sort(),
          );
        }
      },
    );

    t.test(`${list}: X-Total-Count says how many there are, whatever the page`, async (t) => {
      t.equal((await api.inject(`/dashboard/${list}?limit=2`)).headers['x-total-count'], '6');
    });

    t.test(`${list}: a cursor survives that its row vanishes`, async (t) => {
      const before = await api.inject(`/dashboard/${list}?limit=3`);
      const [, , last] = (before.json() as Page[]).map(({ id }) => id);
      await addDeadLetter(db);
      await pool.query('delete from tds_sync_queue where id = $1', [last]);
      const next = await api.inject(`/dashboard/${list}?limit=3&cursor=${before.headers['x-next-cursor']}`);
      t.equal(next.statusCode, 200);
      t.equal(next.json().length, 3, 'the rows behind it');
    });

    t.test(`${list}: a cursor that nobody has given out is refused`, async (t) => {
      const kind = list === 'dead-letter' ? 'dead-letters' : 'events';
      const other = list === 'dead-letter' ? 'events' : 'dead-letters';
      const at = '2026-01-01 00:00:00.123456+00';
      const [id = ''] = await idsNow();
      const good = `2|${kind}|${at}|${id}`;
      const encode = (text: string) => Buffer.from(text).toString('base64url');
      const status = async (cursor: string) =>
        (await api.inject(`/dashboard/${list}?cursor=${encodeURIComponent(cursor)}`)).statusCode;
      t.equal(await status(encode(good)), 200);
      const bad = [
        `1|${kind}|${at}|${id}`,
        `${at} ${id}`,
        `2|${other}|${at}|${id}`,
        `${good}|more`,
        `2|${kind}|${at}|urn:uuid:${id}`,
        `2|${kind}|${at}|{${id}}`,
        ...['2026-02-30 00:00:00+00', '2026-13-01 00:00:00+00', '2026-01-01 24:00:00+00', '2026-01-01 00:00:60+00'].map(
          (impossible) => `2|${kind}|${impossible}|${id}`,
        ),
        ...[
          'infinity',
          '0000-00-00 00:00:00+00',
          '0000-01-01 00:00:00+00',
          "2026-01-01 00:00:00+00'",
          '2026-01-01T00:00:00Z',
          '',
        ].map((text) => `2|${kind}|${text}|${id}`),
      ];
      for (const text of bad) t.equal(await status(encode(text)), 400, text);
      for (const text of ['', 'abc', '%00', 'x'.repeat(300), '💥']) t.equal(await status(text), 400, text.slice(0, 9));
    });
  }

  t.test('a filter counts what it shows', async (t) => {
    for (const [filter, total] of Object.entries({ failed: '6', DEAD_LETTER: '6', pending: '0', completed: '0' })) {
      const answer = await api.inject(`/dashboard/recent-events?limit=1&status_filter=${filter}`);
      t.equal(answer.headers['x-total-count'], total, filter);
    }
  });
});

t.test('an error of a megabyte, however it came there, does not make a page of one', async (t) => {
  const { api, db } = await testApi(t);
  for (let n = 0; n < 5; n++) await addDeadLetter(db);
  const long = 'e'.repeat(1024 * 1024);
  await sql`update tds_sync_queue set error_message = ${long}`.execute(db);
  await sql`update tds_dead_letter_queue set last_error = ${long}`.execute(db);
  for (const list of ['recent-events', 'dead-letter']) {
    const answer = await api.inject(`/dashboard/${list}`);
    t.equal(answer.json().length, 5);
    t.ok(answer.body.length < 5 * 3000, `${list}: ${answer.body.length} bytes`);
  }
});

t.test('a value that is not allowed is answered with those that are', async (t) => {
  const { api } = await testApi(t);
  const detail = async (url: string, method: 'GET' | 'POST' = 'GET') =>
    (await api.inject({ method, url })).json().detail;
  const filters = 'pending, processing, retry, completed, dead_letter, failed';
  t.equal(
    await detail('/dashboard/recent-events?status_filter=broken'),
    `Correct the query parameter status_filter: it must be one of ${filters}.`,
  );
  t.equal(await detail('/dashboard/dead-letter?limit=201'), 'Correct the query parameter limit: it must be <= 200.');
  t.equal(await detail('/dashboard/dead-letter?limit=ten'), 'Correct the query parameter limit: it must be integer.');
  for (const limit of ['1e999', '-1e999', 'Infinity', '-Infinity', 'NaN']) {
    const answer = await api.inject(`/dashboard/dead-letter?limit=${limit}`);
    t.equal(answer.statusCode, 400, limit);
    t.match(answer.json().detail, /^Correct the query parameter limit: it must be/);
  }
  for (const id of ['x', 'urn:uuid:00000000-0000-4000-8000-000000000001', '{00000000-0000-4000-8000-000000000001}']) {
    t.match(
      await detail(`/dashboard/dead-letter/${encodeURIComponent(id)}/retry`, 'POST'),
      /the path's id: it must be a plain uuid/,
    );
  }
});

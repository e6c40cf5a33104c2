/** A worker in this process that mirrors, and what a test asks of the mirror. */
import type { Handler } from '../../src/handlers/handler.ts';
import { mirror } from '../../src/handlers/mirror.ts';
import { Loop } from '../../src/worker/loop.ts';
import { type Teardown, type TestDatabase, waitFor } from '../helper.ts';
import { testContext } from '../worker/context.ts';
import type { Books, Kind } from '../zoho/books.ts';

/** Mirrors until teardown, with these handlers after the mirror. */
export function startMirroring(t: Teardown, { pool }: TestDatabase, handlers: Handler[] = []): Loop {
  const handle = async () => undefined;
  const loop = new Loop(testContext(pool, [{ handle, ...mirror }, ...handlers]), { concurrency: 4, pollMs: 20 });
  loop.start();
  t.teardown(() => loop.stop(5_000));
  return loop;
}

/** Waits until every event has ended. */
export async function settled({ pool }: TestDatabase): Promise<void> {
  const left = 'select from tds_sync_queue where status not in ($1, $2) limit 1';
  await waitFor(
    'the queue to be empty',
    async () => (await pool.query(left, ['completed', 'dead_letter'])).rowCount === 0,
    120_000,
  );
}

/** Ids of a module whose live rows are not, digit for digit, what the stand-in has; either way round. */
export async function disagreeing({ pool }: TestDatabase, books: Books, kind: Kind): Promise<string[]> {
  const live = books.live(kind);
  const text = `
    with theirs as (
      select id, text::jsonb as record from unnest($2::text[], $3::text[]) as given (id, text)),
    ours as (
      select entity_id as id, record from books_records
      where module = $1 and deleted_at is null and complete and stale_since is null)
    select coalesce(theirs.id, ours.id) as id from theirs full join ours using (id)
    where theirs.record is distinct from ours.record`;
  const values = [kind, live.map(({ id }) => id), live.map((entry) => books.detail(entry))];
  // Thousands of records, on a machine that may be busy.
  const query = { text, values, query_timeout: 120_000 };
  const { rows } = await pool.query<{ id: string }>(query);
  return rows.map(({ id }) => id);
}

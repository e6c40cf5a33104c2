/** The same items straight from memory into the mirror, so many a statement, two connections, nothing else. */
import { Books } from '../../test/zoho/books.ts';
import { open } from '../engine.ts';
import { side } from '../side.ts';

const CONNECTIONS = 2;

const UPSERT = `
insert into books_records as stored (module, entity_id, organization_id, version, received_at, record, event_id)
select 'item', id, '10234695', to_timestamp(at), now(), record::jsonb, gen_random_uuid()
from unnest($1::text[], $2::bigint[], $3::text[]) as e (id, at, record)
on conflict (module, entity_id, organization_id) do update
set version = excluded.version, record = excluded.record, event_id = excluded.event_id, updated_at = now()
where excluded.version > stored.version`;

side<{ url: string; items: number; batch: number }, { perSecond: number }>(async ({ url, items, batch }) => {
  const books = new Books().fill({ item: items });
  const rows = books.live('item').map((entry) => ({ ...entry, record: books.detail(entry) }));
  const { pool } = open(url, CONNECTIONS);
  let next = 0;
  const writer = async () => {
    while (next < items) {
      const some = rows.slice(next, next + batch);
      next += batch;
      const values = [some.map(({ id }) => id), some.map(({ changedAt }) => changedAt), some.map((row) => row.record)];
      await pool.query({ name: 'upsert', text: UPSERT, values });
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, writer));
  return { perSecond: items / ((performance.now() - started) / 1000) };
});

/** The change feed: random transactions that overlap, and a reader that polls between any two of their steps. */
import { deepStrictEqual as deepEqual, ok } from 'node:assert';
import fc from 'fast-check';
import type { PoolClient } from 'pg';
import t from 'tap';
import { apiOn, as, OPERATORS, testApi } from '../api/client.ts';

const { api, db, pool } = await testApi(t);

type Change = {
  change_no: number;
  organization_id: string;
  module: string;
  entity_id: string;
  deleted: boolean;
  version: string | null;
  record: { n: number } | null;
};

const MODULES = ['invoice', 'contact'];
const ORGANIZATIONS = ['10', '20'];
const WRITERS = 3;

/** The record with this number: eight of them, over all modules and organizations. */
const keyOf = (entity: number): [module: string, id: string, organization: string] => [
  MODULES[entity % 2] as string,
  String(entity >> 2),
  ORGANIZATIONS[(entity >> 1) % 2] as string,
];

const UPSERT = `insert into books_records (module, entity_id, organization_id, source, record)
  values ($1, $2, $3, 'webhook', jsonb_build_object('n', $4::int))
  on conflict (module, entity_id, organization_id) do update set record = excluded.record, version = null, deleted_at = null`;
const TOMBSTONE = `update books_records set version = now(), deleted_at = now(), record = jsonb_build_object('n', $4::int)
  where module = $1 and entity_id = $2 and organization_id = $3`;
const REMOVE = `delete from books_records where module = $1 and entity_id = $2 and organization_id = $3 and $4::int > 0`;

async function page(query: Record<string, string | number>): Promise<{ changes: Change[]; next_cursor: string }> {
  const answer = await api.inject({ url: '/dashboard/changes', query: query as Record<string, string> });
  if (answer.statusCode !== 200) throw new Error(answer.body);
  return answer.json();
}

/** Keeps a copy of the mirror by the feed alone, and looks that the changes come in order. */
class Reader {
  readonly copy = new Map<string, number | null>();
  readonly #filter: Record<string, string>;
  #cursor: string | undefined;
  #last = 0;

  constructor(filter: Record<string, string>) {
    this.#filter = filter;
  }

  async poll(limit: number): Promise<boolean> {
    const query = { ...this.#filter, limit, ...(this.#cursor ? { cursor: this.#cursor } : {}) };
    const { changes, next_cursor } = await page(query);
    for (const change of changes) this.#take(change);
    this.#cursor = next_cursor;
    return changes.length > 0;
  }

  async pollToTheEnd(limit: number): Promise<void> {
    while (await this.poll(limit));
  }

  #take({ change_no, organization_id, module, entity_id, deleted, record }: Change): void {
    ok(change_no > this.#last, 'change_no grows');
    for (const [name, value] of Object.entries(this.#filter)) ok({ organization_id, module }[name] === value);
    this.#last = change_no;
    const key = `${module} ${entity_id} ${organization_id}`;
    const was = Math.abs(this.copy.get(key) ?? 0);
    const is = record?.n ?? null;
    ok(is === null || is > was, 'each change of a record in order, and none twice');
    this.copy.set(key, is === null ? null : deleted ? -is : is);
  }
}

type Step = { do: 'write' | 'tombstone' | 'remove' | 'commit' | 'rollback' | 'poll'; writer: number; entity: number };

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.oneof(
    { weight: 6, arbitrary: fc.constant('write' as const) },
    { weight: 1, arbitrary: fc.constantFrom('tombstone' as const, 'remove' as const, 'rollback' as const) },
    { weight: 4, arbitrary: fc.constant('commit' as const) },
    { weight: 4, arbitrary: fc.constant('poll' as const) },
  ),
  writer: fc.nat(WRITERS - 1),
  entity: fc.nat(7),
});

/** Transactions that are open at once, none of which ever waits for another: each record is in one hand. */
class Writers {
  readonly #clients: PoolClient[];
  readonly #hands = new Map<number, number>();
  readonly #open = new Set<number>();
  #n = 0;

  constructor(clients: PoolClient[]) {
    this.#clients = clients;
  }

  isFree(entity: number): boolean {
    return !this.#hands.has(entity);
  }

  async write(statement: string, writer: number, entity: number): Promise<void> {
    if ((this.#hands.get(entity) ?? writer) !== writer) return;
    this.#hands.set(entity, writer);
    const client = this.#clients[writer] as PoolClient;
    if (!this.#open.has(writer)) await client.query('begin');
    this.#open.add(writer);
    this.#n += 1;
    await client.query(statement, [...keyOf(entity), this.#n]);
  }

  async end(writer: number, command: 'commit' | 'rollback'): Promise<void> {
    if (!this.#open.delete(writer)) return;
    await (this.#clients[writer] as PoolClient).query(command);
    for (const [entity, hand] of this.#hands) if (hand === writer) this.#hands.delete(entity);
  }
}

const STATEMENTS = { write: UPSERT, tombstone: TOMBSTONE, remove: REMOVE };

/** What is committed, as a reader's copy has it: negative when deleted; a record that was removed is null there. */
async function committed(filter: Record<string, string>): Promise<Map<string, number>> {
  const { rows } = await pool.query(
    `select module || ' ' || entity_id || ' ' || organization_id as key,
       (record ->> 'n')::int * case when deleted_at is null then 1 else -1 end as n
     from books_records where module = coalesce($1, module) and organization_id = coalesce($2, organization_id)`,
    [filter.module, filter.organization_id],
  );
  return new Map(rows.map(({ key, n }) => [key, n]));
}

async function agree(reader: Reader, filter: Record<string, string>, isFree: (entity: number) => boolean) {
  const stands = await committed(filter);
  for (let entity = 0; entity < 8; entity++) {
    const key = keyOf(entity).join(' ');
    if (isFree(entity)) deepEqual(reader.copy.get(key) ?? null, stands.get(key) ?? null, key);
  }
}

t.test('a reader that polls while transactions overlap misses nothing and sees everything in order', async (t) => {
  const clients = await Promise.all(Array.from({ length: WRITERS }, () => pool.connect()));
  t.teardown(() => clients.forEach((client) => void client.release()));
  const filters: Record<string, string>[] = [{}, { module: 'invoice', organization_id: '10' }];
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      async (steps, limit) => {
        await pool.query(
          'truncate books_changes; delete from books_records; truncate books_changes, books_past_records',
        );
        const writers = new Writers(clients);
        const readers = filters.map((filter) => ({ filter, reader: new Reader(filter) }));
        for (const { do: what, writer, entity } of steps) {
          if (what === 'commit' || what === 'rollback') await writers.end(writer, what);
          else if (what !== 'poll') await writers.write(STATEMENTS[what], writer, entity);
          else for (const { reader } of readers) await reader.poll(limit);
        }
        for (const { reader, filter } of readers) {
          await reader.pollToTheEnd(limit);
          const mine = (entity: number) => filter.module === undefined || entity % 4 === 0;
          await agree(reader, filter, (entity) => mine(entity) && writers.isFree(entity));
        }
        for (let writer = 0; writer < WRITERS; writer++) await writers.end(writer, 'commit');
        for (const { reader, filter } of readers) {
          await reader.pollToTheEnd(limit);
          await agree(reader, filter, (entity) => filter.module === undefined || entity % 4 === 0);
        }
      },
    ),
    { numRuns: 60, endOnFailure: true },
  );
});

t.test('a change keeps every digit and says of what it is', async (t) => {
  await pool.query('truncate books_changes; delete from books_records; truncate books_changes');
  const record = '{"total": 12345678901234567890.10, "invoice_id": 982000000567114001}';
  await pool.query(
    `insert into books_records (module, entity_id, organization_id, source, version, record)
     values ('invoice', '982000000567114001', '10', 'pull', '2026-06-09T09:47:43-0400', $1)`,
    [record],
  );
  const answer = await api.inject('/dashboard/changes?limit=1');
  t.match(answer.body, '12345678901234567890.10');
  t.match(answer.body, '982000000567114001}');
  t.match(answer.json().changes, [
    {
      ...{ organization_id: '10', module: 'invoice', entity_id: '982000000567114001', deleted: false },
      version: '2026-06-09T13:47:43.000000Z',
    },
  ]);
  const cursor = answer.json().next_cursor;
  t.same(await page({ cursor }), { changes: [], next_cursor: cursor }, 'the end for now');

  await pool.query("update books_records set stale_since = now() where module = 'invoice'");
  t.same((await page({ cursor })).changes, [], 'that a record became stale changes nothing in it');
  await pool.query('update books_records set deleted_at = version, stale_since = null');
  const deletion = await page({ cursor });
  t.match(deletion.changes, [{ deleted: true, record: { total: Number } }]);
  await pool.query('update books_records set deleted_at = null');
  const revival = await page({ cursor: deletion.next_cursor });
  t.match(revival.changes, [{ deleted: false }]);
  await pool.query('truncate books_records');
  const removal = await page({ cursor: revival.next_cursor });
  t.match(removal.changes, [{ deleted: true, version: null, record: null }]);
});

t.test('a page ends at 16 MB, and the next one goes on behind it', async (t) => {
  await pool.query('truncate books_records; truncate books_changes');
  await pool.query(`insert into books_records (module, entity_id, organization_id, source, record)
    select 'item', n::text, '10', 'pull', jsonb_build_object('n', n, 'notes', repeat('x', 5000000)) from generate_series(1, 6) n`);
  const first = await page({ module: 'item' });
  t.equal(first.changes.length, 4);
  t.equal((await page({ module: 'item', cursor: first.next_cursor })).changes.length, 2);
  await pool.query('truncate books_records');
});

t.test('what is no cursor of the feed is refused, and one from after the backup is gone', async (t) => {
  const encode = (text: string) => Buffer.from(text).toString('base64url');
  const asked = async (cursor: string) => {
    const answer = await api.inject({ url: '/dashboard/changes', query: { cursor } });
    return [answer.statusCode, answer.json().code];
  };
  for (const bad of ['2|changes|', '2|changes|-1', '2|changes|1|1', '1|changes|1', '2|events|1', '2|changes|1e3', ''])
    t.same(await asked(encode(bad)), [400, 'invalid_cursor'], bad);
  t.same(await asked(encode(`2|changes|${'9'.repeat(18)}`)), [410, 'cursor_gone']);
  t.same((await api.inject('/dashboard/changes?module=%00')).statusCode, 400);
  t.same((await api.inject('/dashboard/changes?limit=501')).statusCode, 400);
  t.same(await page({ module: 'nothing of this name' }).then(({ changes }) => changes), []);
});

t.test('a viewer may read it, a stranger may not', async (t) => {
  const { api: guarded } = await apiOn(t, { db, pool }, { operators: OPERATORS });
  t.equal((await guarded.inject('/dashboard/changes')).statusCode, 401);
  t.equal((await guarded.inject({ url: '/dashboard/changes', headers: as('viewer') })).statusCode, 200);
});

t.test('a page reads what it shows, however many changes there are', async (t) => {
  await pool.query('truncate books_records; truncate books_changes');
  await pool.query(`insert into books_records (module, entity_id, organization_id, source, record)
    select case n % 3 when 0 then 'item' when 1 then 'invoice' else 'bill' end, n::text, (n % 2)::text, 'pull', '{}'
    from generate_series(1, 30000) n`);
  await pool.query('select books_number_changes(null, null, 4000)');
  await pool.query('vacuum analyze books_changes, books_records');
  const read = async (query: Record<string, string>) => {
    const before = await rowsRead();
    t.equal((await page({ ...query, limit: 50 })).changes.length, 50);
    return (await rowsRead()) - before;
  };
  const all = await read({});
  t.ok(all < 6 * 50 * 6, `${all} rows for 50 changes of 6 modules and organizations, numbering as many of each`);
  const one = await read({ module: 'bill', organization_id: '1' });
  t.ok(one < 50 * 6 + 50, `${one} rows for 50 changes of one`);
});

async function rowsRead(): Promise<number> {
  const client = await pool.connect();
  await client.query('select pg_stat_force_next_flush()');
  client.release();
  const { rows } = await pool.query<{ n: string }>(
    `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) as n from pg_stat_user_tables
     where relname in ('books_changes', 'books_records')`,
  );
  return Number(rows[0]?.n);
}

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import t from 'tap';
import { refreshViews } from '../../src/db/refresh-views.ts';
import { testDatabase } from '../helper.ts';

type Field = { api_name?: string; label?: string; value?: unknown; data_type?: string };

let ids = 0;
const setUp = async (t: Parameters<typeof testDatabase>[0]) => {
  const { db, pool, url } = await testDatabase(t);
  const add = async (record: object | string, module = 'contact') => {
    ids += 1;
    await sql`insert into books_records (module, entity_id, organization_id, source, record)
      values (${module}, ${String(ids)}, '10', 'pull', ${typeof record === 'string' ? record : JSON.stringify(record)})`.execute(
      db,
    );
  };
  const addFields = (...custom_fields: Field[]) => add({ custom_fields });
  /** What the refresh says about one view: column and type, or what else happened. */
  const refreshed = async (view = 'books_contacts') =>
    (await refreshViews(db))
      .filter((one) => one.view === view)
      .map(({ change, name, type }) => (name ? `${name} ${type}` : change));
  const columns = async (view = 'books_contacts') => {
    const { rows } = await sql<{ name: string }>`select column_name as name from information_schema.columns
      where table_name = ${view} order by ordinal_position`.execute(db);
    return rows.map(({ name }) => name);
  };
  const values = async (select: string) =>
    (await pool.query({ text: `select ${select} from books_contacts order by contact_id::int`, rowMode: 'array' }))
      .rows;
  return { db, pool, url, add, addFields, refreshed, columns, values };
};

t.test('each custom field seen becomes a column at the end, of the type that its values have', async (t) => {
  const { addFields, refreshed, columns, values } = await setUp(t);
  const before = await columns();
  await addFields(
    { api_name: 'cf_region', label: 'Region', value: 'North', data_type: 'string' },
    { api_name: 'cf_zip', label: 'Zip', value: '01234', data_type: 'string' },
    { api_name: 'cf_limit', label: 'Limit', value: '1200.50', data_type: 'amount' },
    { api_name: 'cf_score', label: 'Score', value: 7.1 },
    { api_name: 'cf_since', label: 'Since', value: '2026-02-28', data_type: 'date' },
    { api_name: 'cf_seen_at', label: 'Seen at', value: '2026-02-28T10:00:00+0100', data_type: 'date_time' },
    { api_name: 'cf_vip', label: 'VIP', value: true, data_type: 'check_box' },
    { api_name: 'cf_kinds', label: 'Kinds', value: ['a', 'b'], data_type: 'multiselect' },
    { api_name: 'cf_never', label: 'Never', value: '' },
  );
  const added = await refreshed();
  t.same(added.toSorted(), [
    'cf_kinds text',
    'cf_limit numeric',
    'cf_region text',
    'cf_score numeric',
    'cf_seen_at timestamptz',
    'cf_since date',
    'cf_vip boolean',
    'cf_zip text',
  ]);
  t.same(await columns(), [...before, ...added.map((one) => one.split(' ')[0])], 'what was there keeps its place');
  const all = 'cf_region, cf_zip, cf_limit::text, cf_score::text, cf_since::text, cf_seen_at::text, cf_vip, cf_kinds';
  t.same(await values(all), [
    ['North', '01234', '1200.50', '7.1', '2026-02-28', '2026-02-28 09:00:00+00', true, '["a", "b"]'],
  ]);
  t.same(await refreshed(), [], 'the second time nothing is left to do');
});

t.test('a field is found wherever a record has it: list, keys, hash, by its label', async (t) => {
  const { add, addFields, refreshed, values } = await setUp(t);
  await addFields({ api_name: 'cf_region', label: 'Region', value: 'in the list' });
  await addFields({ label: 'Region', value: 'by label' });
  await add({ cf_region: 'as a key', cf_day: '31 Jan 2026', cf_day_unformatted: '2026-01-31' });
  await add({
    custom_fields: [],
    custom_field_hash: { cf_region: 'in the hash', cf_day: '1 Feb 2026', cf_day_unformatted: '2026-02-01' },
  });
  await add({ custom_fields: '', custom_field_hash: 'x' });
  t.same((await refreshed()).toSorted(), ['cf_day date', 'cf_region text']);
  t.same(await values('cf_region, cf_day::text'), [
    ['in the list', null],
    ['by label', null],
    ['as a key', '2026-01-31'],
    ['in the hash', '2026-02-01'],
    [null, null],
  ]);
});

t.test('values of different types stay text, also when they differ later', async (t) => {
  const { addFields, refreshed, columns, values } = await setUp(t);
  await addFields({ api_name: 'cf_a', value: 1 }, { api_name: 'cf_b', value: 1 });
  await addFields({ api_name: 'cf_a', value: 'one' });
  t.same(await refreshed(), ['cf_a text', 'cf_b numeric']);
  const before = await columns();
  await addFields({ api_name: 'cf_b', value: 'two' });
  t.same(await refreshed(), ['cf_b_text text']);
  t.same(await columns(), [...before, 'cf_b_text']);
  t.same(await values('cf_a, cf_b, cf_b_text'), [
    ['1', '1', '1'],
    ['one', null, null],
    [null, null, 'two'],
  ]);
});

t.test('names are safe, no longer than PostgreSQL allows, and different', async (t) => {
  const { addFields, refreshed, columns, values } = await setUp(t);
  const long = `cf_${'long_'.repeat(20)}`;
  const labels = [
    'a"; drop table books_records; --',
    "a''b",
    'A B',
    'a-b',
    'Größe',
    '地区',
    '$1',
    '%s',
    '\\',
    'cf_status',
  ];
  const names = [`${long}1`, `${long}2`, ...labels];
  await addFields(
    ...names.slice(0, 2).map((api_name, n) => ({ api_name, value: `value ${n}` })),
    ...labels.map((label, n) => ({ label, value: `value ${n + 2}` })),
  );
  const added = (await refreshed()).map((one) => one.split(' ')[0] ?? '');
  t.equal(new Set(added).size, names.length);
  for (const name of added) t.ok(/^cf_[a-z0-9_]+$/.test(name) && name.length <= 63, name);
  const [row = []] = await values(added.join(', '));
  t.same((row as string[]).toSorted(), names.map((_, n) => `value ${n}`).toSorted());
  t.equal(new Set(await columns()).size, (await columns()).length);
});

t.test('lines and the past have the columns too', async (t) => {
  const { add, refreshed, pool } = await setUp(t);
  await add(
    { line_items: [{ item_custom_fields: [{ api_name: 'cf_color', value: 'red' }] }, {}], cf_x: 1 },
    'salesorder',
  );
  t.same(await refreshed('books_sales_order_lines'), ['cf_color text']);
  const colours = await pool.query('select line_no::int, cf_color from books_sales_order_lines order by 1');
  t.same(colours.rows, [
    { line_no: 1, cf_color: 'red' },
    { line_no: 2, cf_color: null },
  ]);
  await pool.query(`update books_records set record = '{"cf_x": 2}'`);
  const past = await pool.query('select cf_x::int from books_sales_order_history order by valid_from');
  t.same(past.rows, [{ cf_x: 1 }, { cf_x: 2 }]);
});

t.test('a view on which another depends, and one that an analyst extended, keep all they have', async (t) => {
  const { addFields, refreshed, columns, values, pool } = await setUp(t);
  await addFields({ api_name: 'cf_a', value: 'a' });
  await refreshed();
  await pool.query(
    'create view report as select contact_id, cf_a from books_contacts; grant select on books_contacts to public',
  );
  await pool.query(`create or replace view books_contacts as
    select c.*, upper(c.cf_a) as shouted from (${await definition()}) as c`);
  const extended = await columns();
  await addFields({ api_name: 'cf_b', value: 'b' }, { api_name: 'shouted', label: 'Shouted', value: 'x' });
  t.same((await refreshed()).toSorted(), ['cf_b text', 'cf_shouted text']);
  t.same((await columns()).slice(0, extended.length), extended);
  t.same(await values('cf_a, shouted, cf_b'), [
    ['a', 'A', null],
    [null, null, 'b'],
  ]);
  t.equal((await pool.query('select from report')).rowCount, 2);
  const acl = await pool.query("select has_table_privilege('public', 'books_contacts', 'select') as may");
  t.same(acl.rows, [{ may: true }]);

  await addFields({ api_name: 'cf_c', value: 'c' });
  t.same(await refreshed(), ['cf_c text'], 'and goes on from there');
  t.same((await values('shouted, cf_c')).at(-1), [null, 'c']);

  async function definition(): Promise<string> {
    const { rows } = await pool.query("select rtrim(pg_get_viewdef('books_contacts'::regclass), ';') as text");
    return rows[0].text;
  }
});

t.test('a view that cannot be refreshed is named with the reason, and the others are refreshed', async (t) => {
  const { addFields, db, pool, columns } = await setUp(t);
  await addFields({ api_name: 'cf_a', value: 'a' });
  await pool.query('drop view books_contacts; create view books_contacts as select 1 as one');
  t.match(
    (await refreshViews(db)).filter(({ view }) => view.startsWith('books_contact')),
    [
      { view: 'books_contact_history', name: 'cf_a' },
      { view: 'books_contacts', change: 'failed', detail: /record/ },
    ],
  );
  t.same(await columns(), ['one']);
});

t.test('a view that somebody dropped comes back with its columns', async (t) => {
  const { addFields, refreshed, values, pool } = await setUp(t);
  await addFields({ api_name: 'cf_a', value: 'a' });
  await refreshed();
  await pool.query('drop view books_contacts');
  t.same(await refreshed(), ['view created again']);
  t.same(await values('cf_a'), [['a']]);
});

t.test('an analyst who reads a view makes the refresh give up after a moment, not wait', async (t) => {
  const { addFields, refreshed, pool, values } = await setUp(t);
  await addFields({ api_name: 'cf_a', value: 'a' });
  const analyst = await pool.connect();
  await analyst.query('begin; select from books_contacts');
  t.same(await refreshed(), ['failed']);
  await analyst.query('commit');
  analyst.release();
  t.same(await refreshed(), ['cf_a text']);
  t.same(await values('cf_a'), [['a']]);
});

t.test('only records that changed are searched again', async (t) => {
  const { addFields, refreshed, pool } = await setUp(t);
  for (let n = 0; n < 50; n++) await addFields({ api_name: 'cf_a', value: 'a' });
  await refreshed();
  await addFields({ api_name: 'cf_b', value: 'b' });
  await refreshed();
  const { rows } = await pool.query(`select
    (select change_no from books_custom_fields_progress) = (select last_no from books_change_counter) as done,
    (select count(*)::int from books_changes where change_no is null) as left`);
  t.same(rows, [{ done: true, left: 0 }]);
});

t.test('npm run views says what it changed', async (t) => {
  const { addFields, url } = await setUp(t);
  await addFields({ api_name: 'cf_a', value: 'a' });
  const run = async () =>
    (
      await promisify(execFile)(process.execPath, ['src/db/refresh-views.ts'], {
        env: { ...process.env, DATABASE_URL: url },
      })
    ).stdout;
  t.match(await run(), 'books_contacts: column added: cf_a text, custom field cf_a\n');
  t.equal(await run(), 'every custom field seen has its column already\n');
});

import { sql } from 'kysely';
import t from 'tap';
import { innerModules, pullModuleNamed, pullModules } from '../../src/zoho/modules/pull-modules.ts';
import { testDatabase } from '../helper.ts';
import { pullOnlyViews } from './pull-only-views.ts';

const { db } = await testDatabase(t);
const ORGANIZATION = '60000000001';

for (const { view, history, module, record, reads } of pullOnlyViews) {
  t.test(`${view} gives the fields of a record as Zoho sends it their types`, async (t) => {
    const id = idOf(module, record);
    await sql`insert into books_records (organization_id, module, entity_id, record)
      values (${ORGANIZATION}, ${module}, ${id}, ${record}::jsonb)`.execute(db);
    await sql`insert into tds_pull_rows (organization_id, module, entity_id, within)
      values (${ORGANIZATION}, ${module}, ${id}, '3950000000197001')`.execute(db);
    const columns = Object.keys(reads).map((column) => sql`${sql.ref(column)}::text`);
    for (const relation of [view, history]) {
      const { rows } = await sql`select ${sql.join(columns)} from ${sql.table(relation)}
        where ${sql.ref(idFieldOf(module))} = ${id}`.execute(db);
      t.same(rows, [reads], relation);
    }
  });
}

t.test('every module that is pulled and has no webhooks has a view', async (t) => {
  const pullOnly = pullModules.filter(({ hasWebhooks }) => !hasWebhooks);
  t.same(
    pullOnlyViews.map(({ module }) => module).sort(),
    [...pullOnly, ...innerModules].map(({ name }) => name).sort(),
  );
});

t.test('lines of retainer and recurring invoices stand alone, with the id of their record', async (t) => {
  const retainer = await sql`select retainerinvoice_id, line_no, description, rate, item_total
    from books_retainer_invoice_lines`.execute(db);
  t.same(retainer.rows, [
    {
      ...{ retainerinvoice_id: '3950000000090001', line_no: '1', description: 'Deposit' },
      ...{ rate: '500.00', item_total: '500.00' },
    },
  ]);
  const recurring = await sql`select line_no, quantity, item_id from books_recurring_invoice_lines`.execute(db);
  t.same(recurring.rows, [{ line_no: '1', quantity: '2.5', item_id: '3950000000200002' }]);
});

t.test('a contact person is found with its contact', async (t) => {
  await sql`insert into books_records (organization_id, module, entity_id, record)
    values (${ORGANIZATION}, 'contact', '3950000000197001', '{"contact_name":"Acme Trading"}')`.execute(db);
  const { rows } = await sql`select c.contact_name, p.first_name
    from books_contact_persons p join books_contacts c using (organization_id, contact_id)`.execute(db);
  t.same(rows, [{ contact_name: 'Acme Trading', first_name: 'Dana' }]);
});

t.test('a custom field of a module without webhooks has its column after a refresh', async (t) => {
  const fields = '{"custom_fields":[{"api_name":"cf_region","label":"Region","value":"North"}]}';
  await sql`update books_records set record = record || ${fields}::jsonb where module = 'bankaccount'`.execute(db);
  await sql`select books_number_changes(null, null, 1000)`.execute(db);
  await sql`select * from books_refresh_views()`.execute(db);
  for (const view of ['books_bank_accounts', 'books_bank_account_history']) {
    const { rows } = await sql`select distinct cf_region from ${sql.table(view)} where cf_region is not null`.execute(
      db,
    );
    t.same(rows, [{ cf_region: 'North' }], view);
  }
});

function idFieldOf(module: string): string {
  const inner = innerModules.find(({ name }) => name === module);
  return inner?.idField ?? pullModuleNamed(module).idFields[0];
}

function idOf(module: string, record: string): string {
  return JSON.parse(record)[idFieldOf(module)];
}

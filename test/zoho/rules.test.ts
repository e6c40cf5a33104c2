import t from 'tap';
import { compareRules, type Rule, type Webhook } from '../../src/zoho/command/rules.ts';
import { booksModules } from '../../src/zoho/modules/modules.ts';

const BASE = 'https://api.example.com/tds';
const EXPECTED = { organizationId: '10234695', baseUrl: BASE };

const webhook = (id: string, path: string, more: Partial<Webhook> = {}): Webhook => ({
  ...{ id, name: `webhook ${id}`, url: `${BASE}/webhooks/zoho-books/${path}`, method: 'POST', ...more },
});

const rule = (entity: string, type: string, webhookId: string, more: Partial<Rule> = {}): Rule => ({
  ...{ name: `${entity} ${type}`, entity, type, active: true, always: true, webhookIds: [webhookId], ...more },
});

const WEBHOOKS = [webhook('1', '10234695/invoice/updated'), webhook('2', '10234695/invoice/deleted')];

const problems = (rules: Rule[], webhooks = WEBHOOKS, module = 'invoice') =>
  compareRules([module], rules, webhooks, EXPECTED)[0]?.problems;

t.test('a rule for new and changed records and one for deletions are all it takes', async (t) => {
  t.strictSame(problems([rule('invoice', 'add_edit', '1'), rule('invoice', 'delete', '2')]), []);
  const separate = [rule('invoice', 'add', '1'), rule('invoice', 'edit', '1'), rule('invoice', 'delete', '2')];
  t.strictSame(problems(separate), []);
});

t.test('without a rule each kind of change is missing, with the address to use', async (t) => {
  t.match(problems([]), [
    /announces new ones: add one of type add_edit whose webhook POSTs to https:\/\/api\.example\.com\/tds\/webhooks\/zoho-books\/10234695\/invoice\/created/,
    /announces changes/,
    /announces deletions: .*\/10234695\/invoice\/deleted/,
  ]);
  t.equal(
    compareRules(
      booksModules.map(({ name }) => name),
      [],
      [],
      EXPECTED,
    ).length,
    booksModules.length,
  );
});

t.test('a rule that is switched off, leads elsewhere or has no webhook announces nothing', async (t) => {
  const deletion = rule('invoice', 'delete', '2');
  const off = problems([rule('invoice', 'add_edit', '1', { active: false }), deletion]);
  t.match(off, [/new ones/, /changes/, /"invoice add_edit" is switched off/]);
  const elsewhere = [...WEBHOOKS, webhook('3', '', { url: 'https://other.example.com/hook' })];
  t.match(problems([rule('invoice', 'add_edit', '3'), deletion], elsewhere), [/new ones/, /changes/]);
  t.match(problems([rule('invoice', 'add_edit', 'gone'), deletion]), [/new ones/, /changes/]);
});

t.test('a rule that fires only once is named', async (t) => {
  const once = rule('invoice', 'add_edit', '1', { always: false });
  t.match(problems([once, rule('invoice', 'delete', '2')]), [/fires only the first time/]);
});

t.test('a webhook of another organization, module or server is named', async (t) => {
  const of = (path: string, more: Partial<Webhook> = {}) =>
    problems(
      [rule('invoice', 'add_edit', '1'), rule('invoice', 'delete', '2')],
      [webhook('1', path, more), webhook('2', '10234695/invoice/deleted')],
    );
  t.match(of('999/invoice/updated'), [/names organization 999 instead of 10234695/]);
  t.match(of('10234695/bills/updated'), [/names module bills instead of invoice/]);
  t.match(of('10234695/invoice/deleted'), [/says that records are deleted, but its rule is for changes/]);
  t.match(of('10234695/invoice', { url: 'https://old.example.com/webhooks/zoho-books/10234695/invoice' }), [
    /does not lead to https:\/\/api\.example\.com\/tds/,
  ]);
  t.match(of(''), [/names organization none/]);
});

t.test('a deletion that arrives as a change is named', async (t) => {
  t.match(problems([rule('invoice', 'add_edit', '1'), rule('invoice', 'delete', '1')]), [/must end with \/deleted/]);
});

t.test("contacts need rules for customers and for vendors, in Zoho's own words", async (t) => {
  const webhooks = [webhook('1', '10234695/contact/updated'), webhook('2', '10234695/contacts/deleted')];
  const customers = [rule('customer', 'add_edit', '1'), rule('customer', 'delete', '2')];
  t.match(problems(customers, webhooks, 'contact'), [/entity vendor announces new/, /vendor/, /vendor/]);
  const vendors = [rule('vendor', 'add_edit', '1'), rule('vendor', 'delete', '2')];
  t.strictSame(problems([...customers, ...vendors], webhooks, 'contact'), []);
  t.strictSame(problems([rule('contact', 'add_edit', '1'), rule('contact', 'delete', '2')], webhooks, 'contact'), []);
});

t.test('a module is known under every spelling of Zoho', async (t) => {
  const webhooks = [
    webhook('1', '10234695/customerpayment/updated'),
    webhook('2', '10234695/customer-payments/deleted'),
  ];
  const rules = [rule('customer_payment', 'add_edit', '1'), rule('customer_payment', 'delete', '2')];
  t.strictSame(problems(rules, webhooks, 'customerpayment'), []);
});

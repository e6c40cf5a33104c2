import t from 'tap';
import { elements, recordIn, recordsIn } from '../../src/zoho/client/records.ts';
import { booksModules } from '../../src/zoho/modules/modules.ts';
import { ALL_SCOPES, innerModules, pullModuleNamed, pullModules } from '../../src/zoho/modules/pull-modules.ts';
import { strategyAfterPage } from '../../src/zoho/modules/strategy.ts';
import { SHAPES } from './render.ts';

t.test('every module of the mirror can be pulled, and so can those without webhooks', async (t) => {
  const names = pullModules.map(({ name }) => name);
  t.equal(new Set(names).size, names.length);
  t.ok(booksModules.every(({ name }) => pullModuleNamed(name).hasWebhooks));
  for (const name of ['chartofaccount', 'bankaccount', 'banktransaction', 'tax', 'currency', 'user'])
    t.match(pullModuleNamed(name), { hasWebhooks: false, strategy: 'full-scan' });
  t.match(innerModules, [{ name: 'contactperson', within: 'contact' }]);
  t.throws(() => pullModuleNamed('widget'), /there is no module named widget/);
});

t.test('the stand-in, written from recorded answers, agrees with the table', async (t) => {
  for (const [kind, { listKey, detailKey, idField, path }] of Object.entries(SHAPES)) {
    const module = pullModuleNamed(kind);
    t.equal(module.listPath, path);
    t.ok(module.listKeys.includes(listKey) && module.detailKeys.includes(detailKey), kind);
    t.equal(module.idFields[0], idField);
  }
});

t.test('scopes are those of the API that serves the module', async (t) => {
  t.equal(pullModuleNamed('vendorcredit').scope, 'ZohoBooks.debitnotes.READ');
  t.match(pullModuleNamed('inventoryadjustment'), { api: 'inventory', scope: /^ZohoInventory\./ });
  t.strictSame([...ALL_SCOPES].sort(), [...new Set(ALL_SCOPES)].sort());
  t.ok(ALL_SCOPES.includes('ZohoBooks.banking.READ'));
});

t.test('both spellings of a key are taken, and no other', async (t) => {
  const { listKeys, idFields } = pullModuleNamed('vendorcredit');
  const read = (key: string, value = '[{"vendor_credit_id":"1"}]') =>
    recordsIn(`{"code":0,"${key}":${value}}`, listKeys, idFields)?.records.map(({ id }) => id);
  t.strictSame(read('vendor_credits'), ['1']);
  t.strictSame(read('vendorcredits'), ['1']);
  t.strictSame(read('vendor_credits', '[]'), []);
  t.equal(read('credits'), undefined);
  t.equal(read('vendor_credits', '{"vendor_credit_id":"1"}'), undefined, 'no list');
  t.equal(read('vendor_credits', 'null'), undefined);
});

t.test('an id that is a number keeps its digits; a record without one is named and the others are kept', async (t) => {
  const { listKeys, idFields } = pullModuleNamed('invoice');
  const answer =
    '{"invoices":[{"invoice_id":3950000000203001999,"total":0.10},{"total":1},{"invoice_id":"","total":1},{"invoice_id":"7"}]}';
  const found = recordsIn(answer, listKeys, idFields);
  t.strictSame(
    found?.records.map(({ id }) => id),
    ['3950000000203001999', '7'],
  );
  t.match(found?.records[0]?.text, /"total":0\.10\}/);
  t.strictSame(found?.unusable, ['a record has no invoice_id', 'a record has no invoice_id']);
  t.equal(recordIn('{"invoice":{"total":1}}', ['invoice'], idFields), 'a record has no invoice_id');
  t.equal(recordIn('{"code":0}', ['invoice'], idFields), null);
});

t.test('elements are cut where they end, whatever their strings hold', async (t) => {
  const parts = ['{"a":"]},{[\\"\\\\"}', '"x,\\"y"', '[1,[2,{"b":"}"}]]', '-1.50', 'null', '"\\\\"'];
  t.strictSame(elements(`[ ${parts.join(' , ')} ]`), parts);
  t.strictSame(elements('[]'), []);
  t.strictSame(elements('[ \n ]'), []);
});

t.test('rows without a time cannot prove that a list is sorted, nor that a filter was ignored', async (t) => {
  const since = new Date('2026-06-09T00:00:00Z');
  const at = (time: string) => ({ version: new Date(time) });
  t.equal(strategyAfterPage('filter', [{ version: null }], since), 'filter');
  t.equal(strategyAfterPage('sorted-scan', [{ version: null }], since), 'full-scan');
  t.equal(strategyAfterPage('filter', [at('2026-06-08T23:59:59Z')], since), 'filter', 'within the second');
  t.equal(strategyAfterPage('filter', [at('2026-06-08T23:59:58Z')], since), 'full-scan');
  t.equal(strategyAfterPage('full-scan', [at('2020-01-01T00:00:00Z')], since), 'full-scan');
});

import t from 'tap';
import {
  booksModules,
  isUnmirroredKey,
  keyFitsModule,
  moduleFromKey,
  moduleFromPath,
} from '../../src/zoho/modules/modules.ts';

t.test('every module is found by its own name, its list path and its detail key', async (t) => {
  for (const module of booksModules) {
    t.equal(moduleFromPath(module.name), module);
    t.equal(moduleFromPath(module.listPath.slice(1)), module);
    t.ok(keyFitsModule(module.detailKey, module), module.detailKey);
  }
});

t.test('case, plural, hyphens and underscores of a name do not matter', async (t) => {
  for (const name of ['salesorder', 'SalesOrders', 'sales-order', 'SALES_ORDERS', 'sales orders']) {
    t.equal(moduleFromPath(name)?.name, 'salesorder', name);
    t.equal(moduleFromKey(name)?.name, 'salesorder', name);
  }
});

t.test('names of nothing we mirror are no module', async (t) => {
  for (const name of ['', 's', 'widget', 'invoice_line', 'toString', '__proto__', 'shipment_order']) {
    t.equal(moduleFromPath(name), undefined, name);
    t.equal(moduleFromKey(name), undefined, name);
  }
  t.ok(isUnmirroredKey('Shipment-Orders'));
  t.notOk(isUnmirroredKey('invoice'));
});

t.test('payment may hold either kind of payment', async (t) => {
  const [customer, vendor] = booksModules;
  t.equal(moduleFromKey('payment'), customer);
  t.ok(customer && keyFitsModule('payments', customer));
  t.ok(vendor && keyFitsModule('payments', vendor));
});

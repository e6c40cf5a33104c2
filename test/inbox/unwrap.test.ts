import t from 'tap';
import { booksModules } from '../../src/zoho/modules/modules.ts';
import { sample, sampleBody } from '../samples.ts';
import { deliver, form, quarantine } from './deliver.ts';

t.test('every sample is recognised, with or without a module in the URL, and kept to the byte', async (t) => {
  for (const name of ['bill', 'contact', 'customerpayment', 'invoice', 'invoice-paid', 'item', 'salesorder']) {
    const file = `${name}.webhook`;
    const module = name.replace('-paid', '');
    for (const request of [{}, { module }, { module: `${module}s`.toUpperCase() }]) {
      const delivery = deliver(sampleBody(file), request);
      t.equal(delivery.module, module);
      t.equal(delivery.partial, false);
      t.equal(delivery.versioned, true);
      t.ok(sampleBody(file).toString().includes(delivery.record), name);
      t.same(JSON.parse(delivery.record), Object.values(sample(file))[0]);
    }
  }
});

t.test('every transport of one record gives the same record', async (t) => {
  const { comment: _, custom_raw_json, custom_form_params, ...full } = sample('transports');
  for (const [name, { content_type, raw_body }] of Object.entries<Record<string, string>>(full)) {
    const delivery = deliver(raw_body, { contentType: content_type });
    t.match(delivery, { entityId: '3950000000203001', eventType: 'invoice.updated', versioned: true, partial: true });
    t.match(JSON.parse(delivery.record), { customer_name: 'R&D + Söhne "A"', total: 598 }, name);
  }
  const raw = deliver(custom_raw_json.raw_body);
  t.match(raw, { organizationId: '60000000001', eventType: 'invoice.updated', partial: true, version: null });
  const params = deliver(custom_form_params.raw_body, { contentType: form });
  t.match(params, { entityId: '3950000000203001', module: 'invoice', partial: true });
  t.same(JSON.parse(params.record), { invoice_id: '3950000000203001', status: 'paid', total: '598' });
});

t.test('wrapper keys may be aliases, plural, arrays of one, JSON text, or stand in envelopes', async (t) => {
  const record = { invoice_id: '7', status: 'paid' };
  const bodies = {
    plural: { invoices: record },
    'array of one': { invoices: [record] },
    'siblings around': { organization_id: 5, webhook: 'x', invoice: record, 'sent at': 'y' },
    'ids of the call beside': { event_id: '5675', webhook_id: 3, invoice: record },
    'id beside': { invoice_id: '7', customer_id: '9', invoice: record },
    'JSON text': { payload: JSON.stringify({ invoice: record }) },
    'record as JSON text': { invoice: JSON.stringify(record) },
    envelope: { payload: { invoice: record } },
    'two envelopes': { payload: { data: { invoice: [record] } }, meta: { a: 1 } },
    'unknown wrapper': { whatever: record },
    'event and data': { event: 'invoice.updated', data: record },
  };
  for (const [name, body] of Object.entries(bodies)) {
    for (const request of [{}, { module: 'invoice' }]) {
      const delivery = deliver(body, request);
      t.match(delivery, { module: 'invoice', entityId: '7' }, name);
      t.same(JSON.parse(delivery.record), record, name);
    }
  }
  const fields = new URLSearchParams({ organization_id: '5', JSONString: JSON.stringify({ Invoice: record }) });
  t.match(deliver(fields.toString(), { contentType: form }), { organizationId: '5', entityId: '7' });
});

t.test('every module is found under each of its wrapper keys', async (t) => {
  for (const { name, wrapperKeys, idFields } of booksModules) {
    for (const key of wrapperKeys) {
      const body = { [key]: { [idFields[0]]: '7', created_time: '2026-06-09T09:47:43-0400' } };
      t.equal(deliver(body, { module: name }).module, name);
      if (key !== 'payment') t.equal(deliver(body).module, name, key);
    }
  }
});

t.test('spellings of a module in the URL', async (t) => {
  const spellings = {
    contact: ['Contacts', 'customer', 'vendors'],
    customerpayment: ['customer_payments', 'payment', 'Customer-Payment', 'payments-received'],
    vendorpayment: ['vendorpayments', 'vendor-payment', 'payments_made'],
    salesorder: ['sales-orders', 'SalesOrder', 'sales_order'],
    vendorcredit: ['vendor_credits'],
    inventoryadjustment: ['inventory-adjustments'],
    estimate: ['quotes'],
  };
  for (const [module, names] of Object.entries(spellings)) {
    const { idFields } = booksModules.find(({ name }) => name === module) ?? { idFields: [''] };
    for (const name of names) t.equal(deliver({ [idFields[0]]: '7' }, { module: name }).module, module, name);
  }
});

t.test("a payment is a vendor's when it names a vendor, unless the URL decides", async (t) => {
  const toVendor = { payment_id: '1', vendor_id: '2' };
  t.equal(deliver({ payment: toVendor }).module, 'vendorpayment');
  t.equal(deliver(toVendor).module, 'vendorpayment');
  t.equal(deliver({ event: 'payment.created', ...toVendor }).module, 'vendorpayment');
  t.equal(deliver({ payment: { payment_id: '1', vendor_id: '', customer_id: '2' } }).module, 'customerpayment');
  t.equal(deliver({ payment: toVendor }, { module: 'customerpayment' }).module, 'customerpayment');
  t.equal(deliver({ payment: { payment_id: '1' } }, { module: 'vendorpayments' }).module, 'vendorpayment');
});

t.test('a flat record is not mistaken for an object nested in it, nor for one that it refers to', async (t) => {
  const { invoice } = sample('invoice.webhook');
  const { payment } = sample('customerpayment.webhook');
  t.match(deliver(invoice), { module: 'invoice', entityId: invoice.invoice_id });
  t.match(deliver(invoice, { module: 'invoice' }), { module: 'invoice', entityId: invoice.invoice_id });
  t.match(deliver(payment), { module: 'customerpayment', entityId: payment.payment_id });
  t.equal(deliver({ salesorder_id: '1', invoice_id: '2', customer_id: '3' }).module, 'invoice');
  t.equal(deliver({ invoice_id: '2', creditnote_id: '' }).module, 'invoice');
  t.equal(deliver({ event: 'salesorder.updated', salesorder_id: '1', invoice_id: '2' }).module, 'salesorder');
  t.match(deliver({ customer_id: '3', customer_name: 'A' }), { module: 'contact', entityId: '3' });
  t.match(deliver({ customer_id: '3', invoice: { invoice_id: '2' } }), { module: 'invoice', entityId: '2' });
});

t.test('an unknown module is quarantined by name, even when its record carries our ids', async (t) => {
  const shipment = { salesorder_id: '5', shipment_id: '9' };
  t.match(quarantine({ shipment_order: shipment }), { module: 'shipment_order', reason: /unknown module/ });
  t.match(quarantine({ payload: { shipment_order: shipment } }), { module: 'shipment_order' });
  t.match(quarantine({ widget: { widget_id: '9', invoice_id: '1' } }), { module: 'widget', entityId: '9' });
  t.match(quarantine({ retainerinvoice_id: '9', customer_id: '1' }), { module: null, entityId: '9' });
  t.match(quarantine({ receive_id: '9', contact: { contact_id: '1' } }), { module: null, entityId: null });
  t.match(quarantine({ widget: { widget_id: '9' } }, { module: 'widgets', organizationId: '60', action: 'remove' }), {
    reason: /unknown module 'widgets'/,
    organizationId: '60',
    module: 'widgets',
    action: 'deleted',
    entityId: '9',
  });
});

t.test('a body that contradicts the URL or holds several records is quarantined', async (t) => {
  t.match(quarantine({ invoice: { invoice_id: '1' } }, { module: 'bill' }), {
    reason: /says bill.*holds invoice/,
    module: 'bill',
  });
  t.match(quarantine({ shipment_order: { salesorder_id: '1' } }, { module: 'salesorder' }), {
    reason: /says salesorder/,
  });
  t.match(quarantine({ invoice: { invoice_id: '1' }, bill: { bill_id: '2' } }), { reason: /several records/ });
  for (const module of [undefined, 'invoice']) {
    t.match(quarantine({ invoices: [{ invoice_id: '1' }, { invoice_id: '2' }] }, { module }), {
      reason: /more than one/,
    });
  }
});

t.test('of two records in one body none is dropped: the delivery is quarantined', async (t) => {
  const invoice = { invoice_id: '1', status: 'paid' };
  const bill = { bill_id: '2', status: 'open' };
  const bodies = {
    'two wrapped records': { invoice, bill },
    'one of them in an array': { invoice, bills: [bill] },
    'one of them as JSON text': { invoice, bill: JSON.stringify(bill) },
    'two records of one module': { invoice, Invoices: [{ invoice_id: '2' }] },
    'one beside an envelope': { invoice, data: { bill } },
    'two envelopes': { payload: { invoice }, data: { bill } },
    'two bare records in envelopes': { payload: invoice, data: bill },
    'inside an envelope': { payload: { invoice, bill } },
  };
  for (const [name, body] of Object.entries(bodies)) {
    for (const request of [{}, { module: 'invoice' }])
      t.match(quarantine(body, request), { reason: /several records/ }, name);
  }
  t.match(quarantine({ event: 'invoice.paid', invoice, bill }), { reason: /several records/ });
});

t.test('what a record holds of others, or what only looks like one, is no second record', async (t) => {
  const invoice = { invoice_id: '1', contact: { contact_id: '9' }, salesorders: [{ salesorder_id: '8' }] };
  for (const beside of [{ contact: { name: 'A' } }, { data: '{broken' }, { data: { sent: 'now' } }, { bill: 'none' }]) {
    for (const request of [{}, { module: 'invoice' }]) {
      if (request.module === undefined && 'contact' in beside) continue;
      t.equal(deliver({ invoice, ...beside }, request).entityId, '1', JSON.stringify(beside));
    }
  }
  t.equal(deliver(invoice).module, 'invoice');
});

t.test('a reason repeats no value, and no name that does not look like one of a module', async (t) => {
  const secret = 'dana@acme.example';
  const long = 'k'.repeat(200);
  const parsed = [
    quarantine({ [secret]: { [`${secret}_id`]: secret, email_id: secret, tax_id: '27999999999' } }),
    quarantine({ [secret]: { widget_id: '9' } }, { module: secret }),
    quarantine({ widget: { tax_id: '27999999999', email_id: secret } }),
    quarantine({ widget: { widget_id: secret } }),
    quarantine({ [long]: { [`${long}_id`]: '1' } }),
    quarantine({ invoice: { invoice_id: '1' }, [`_____bill${' '.repeat(90)}`]: { bill_id: '2' } }),
    quarantine({ [`shipment order${' '.repeat(99)}`]: { a: 1 } }, { module: 'invoice' }),
    quarantine({ event: `${secret}.updated`, a: 1 }),
    quarantine(`{"invoice_id":"${secret}`),
  ];
  for (const { kind: _, ...told } of parsed) t.notMatch(JSON.stringify(told), /dana|2799|kkk|bill {5}|order {5}/);
});

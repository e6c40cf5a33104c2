import t from 'tap';
import { type Delivery, type DeliveryInput, parseDelivery } from '../../src/inbox/parse.ts';
import { booksModules } from '../../src/zoho/modules.ts';
import { sample, sampleBody } from '../samples.ts';

const form = 'application/x-www-form-urlencoded;charset=UTF-8';

type Request = Partial<Omit<DeliveryInput, 'body'>>;

function parse(body: unknown, request: Request = {}) {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return parseDelivery({
    body: bytes,
    contentType: 'application/json',
    method: 'POST',
    defaultOrganization: 'default',
    ...request,
  });
}

function deliver(body: unknown, request?: Request): Delivery {
  const parsed = parse(body, request);
  if (parsed.kind !== 'delivery') throw new Error(`not a delivery: ${JSON.stringify(parsed)}`);
  return parsed.delivery;
}

function quarantine(body: unknown, request?: Request) {
  const parsed = parse(body, request);
  if (parsed.kind !== 'quarantine') throw new Error(`not quarantined: ${JSON.stringify(parsed)}`);
  return parsed;
}

t.test(
  'every sample is recognised with and without a module in the URL, and its record is kept to the byte',
  async (t) => {
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
  },
);

t.test('every transport of one record gives the same record', async (t) => {
  const { comment: _, custom_raw_json, custom_form_params, ...full } = sample('transports');
  for (const [name, { content_type, raw_body }] of Object.entries<Record<string, string>>(full)) {
    const delivery = deliver(raw_body, { contentType: content_type });
    t.match(delivery, { entityId: '3950000000203001', eventType: 'invoice.updated', versioned: true, partial: false });
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
  t.match(quarantine({ receive_id: '9', contact: { contact_id: '1' } }), { entityId: '9' });
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
    reason: /says bill.*'invoice'/,
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

t.test('numeric ids keep every digit', async (t) => {
  for (const digits of [
    '260815000000113012',
    '1234567890123456789',
    '9007199254740993',
    '12345678901234567890123',
    '7',
  ]) {
    t.equal(deliver(`{"invoice":{"lines":[{"invoice_id":1}],"invoice_id": ${digits} ,"b":2}}`).entityId, digits);
    t.equal(deliver(`{"customer_id":${digits}}`).entityId, digits);
    t.equal(deliver(`{"organization_id":${digits},"item":{"item_id":"1"}}`).organizationId, digits);
    t.equal(deliver(`{"items":[ {"\\u0069tem_id":1,"item\\u005fid":${digits}} ]}`).entityId, digits, 'escaped key');
  }
});

t.test('what is no id is quarantined, with what else could be read', async (t) => {
  const wrong = [
    0,
    '0',
    '000',
    '',
    ' ',
    null,
    true,
    {},
    [],
    ['1'],
    1.5,
    -5,
    '1'.repeat(101),
    'a\u0000b',
    '\ud800',
    ['$', '{INVOICE.ID}'].join(''),
  ];
  for (const invoice_id of wrong) {
    const parsed = quarantine({ organization_id: '6', invoice: { invoice_id } }, { action: 'new' });
    t.match(parsed, { reason: /^no id/, organizationId: '6', module: 'invoice', action: 'created', entityId: null });
  }
  t.match(quarantine('{"invoice":{"invoice_id":1e3}}'), { reason: /^no id/ });
  t.match(quarantine({ invoice: { status: 'paid' } }), { reason: /^no id.*invoice_id/ });
  t.match(quarantine({ status: 'paid' }, { module: 'invoice' }), { reason: /^no id.*invoice_id/, module: 'invoice' });
  t.equal(deliver({ invoice: { invoice_id: ' 42 ' } }).entityId, '42', 'blanks around an id are no part of it');
  t.equal(deliver({ invoice: { invoice_id: '1'.repeat(100) } }).entityId.length, 100);
});

t.test('the organization comes from the URL, else the body, else the default', async (t) => {
  const invoice = { invoice_id: '1', organization_id: '30' };
  t.equal(deliver({ organization_id: '20', invoice }, { organizationId: '10' }).organizationId, '10');
  t.equal(deliver({ organization_id: 20, invoice }).organizationId, '20');
  t.equal(deliver({ organization_id: '', invoice }).organizationId, '30');
  t.equal(deliver({ invoice: { invoice_id: '1' } }).organizationId, 'default');
  t.match(quarantine({ invoice }, { organizationId: 'a\u0000' }), { reason: /organization id/ });
});

t.test(
  'the action comes from the URL, else DELETE, else the body or the times, and is never deleted by a body',
  async (t) => {
    const time = '2026-06-09T09:47:43-0400';
    const fresh = { invoice_id: '1', status: 'sent', created_time: time, last_modified_time: '2026-06-09T13:47:43Z' };
    const changed = { ...fresh, created_time: '2026-06-09T09:47:42-0400' };
    const action = (invoice: object, request?: Request, event?: string) => deliver({ event, invoice }, request).action;
    for (const path of ['create', 'add', 'New', 'created']) t.equal(action(changed, { action: path }), 'created', path);
    for (const path of ['update', 'EDIT', 'updated']) t.equal(action(fresh, { action: path }), 'updated', path);
    for (const path of ['delete', 'Remove', 'deleted']) t.equal(action(fresh, { action: path }), 'deleted', path);
    for (const path of ['upsert', 'add_edit', undefined, '']) {
      t.equal(action(fresh, { action: path }), 'created', String(path));
      t.equal(action(changed, { action: path }, 'invoice.deleted'), 'updated', String(path));
    }
    t.equal(action(fresh, { action: 'Marked-As_Sent' }), 'marked-as_sent');
    t.equal(action(fresh, { method: 'DELETE' }), 'deleted');
    t.equal(action(fresh, { method: 'DELETE', action: 'updated' }), 'updated');
    t.equal(action(fresh, { method: 'PUT' }, 'invoice.paid'), 'paid');
    t.equal(action({ invoice_id: '1' }), 'updated', 'without times');
    for (const path of ['a b', 'dé', 'x'.repeat(65), 'a\u0000']) {
      t.match(quarantine({ invoice: fresh }, { action: path }), { reason: /action/, entityId: '1' }, path);
    }
  },
);

t.test('the version is the first time that can be read', async (t) => {
  const last_modified_time = '2026-06-09T09:47:43-0400';
  const updated_time = '2026-06-09T09:47:44+05:30';
  const created_time = '2026-06-09T09:47:45Z';
  const version = (times: object) => {
    const { version, versioned, partial } = deliver({ invoice: { invoice_id: '1', status: 'sent', ...times } });
    return [version?.toISOString(), versioned, partial];
  };
  t.same(version({ last_modified_time, updated_time, created_time }), ['2026-06-09T13:47:43.000Z', true, false]);
  t.same(version({ last_modified_time: '', updated_time, created_time }), ['2026-06-09T04:17:44.000Z', true, false]);
  t.same(version({ last_modified_time: 'soon', created_time }), ['2026-06-09T09:47:45.000Z', false, false]);
  for (const unreadable of [
    '',
    '2026-06-09',
    '2026-06-09T09:47:43',
    '0000-01-01T00:00:00Z',
    '2026-13-09T09:47:43Z',
    5,
    null,
  ]) {
    t.same(version({ last_modified_time: unreadable }), [undefined, false, true], String(unreadable));
  }
});

t.test('a body that only points at its record is partial', async (t) => {
  const { id_only, full_snapshot } = sample('delete.webhook');
  t.match(deliver(id_only, { action: 'deleted' }), { eventType: 'invoice.deleted', partial: true, version: null });
  t.match(deliver(full_snapshot, { action: 'deleted' }), { eventType: 'invoice.deleted', partial: false });
  const last_modified_time = '2026-06-09T09:47:43-0400';
  const pointer = {
    event: 'invoice.updated',
    organization_id: '6',
    invoice_id: '1',
    customer_id: '2',
    last_modified_time,
  };
  t.match(deliver(pointer), { partial: true, versioned: true });
});

t.test('the record keeps exact digits, key order and repeats; the last of repeated keys counts', async (t) => {
  const record =
    '{"10":1,"2":-0.0,"invoice_id":"1","invoice_id":"2","rate":0.10000000000000000001,"total":9007199254740993.10}';
  const delivery = deliver(`{"invoice":{"invoice_id":"9"}, "invoice" : ${record} }`);
  t.equal(delivery.record, record);
  t.equal(delivery.entityId, '2');
});

t.test('what jsonb refuses is replaced in the record, and in nothing else', async (t) => {
  t.equal(
    deliver('{"item":{"item_id":"1","n":"a\\u0000b\\ud800 \\\\u0000"}}').record,
    '{"item_id":"1","n":"a\\ufffdb\\ufffd \\\\u0000"}',
  );
  const harmless = '{"item_id":"1","n":"\\u001b[2J \\u202e \\ud83d\\ude00 \\/"}';
  t.equal(deliver(`{"item":${harmless}}`).record, harmless);
  const twice = JSON.stringify({ payload: '{"item":{"item_id":"1","n":"\\ud800"}}' });
  t.equal(deliver(twice).record, '{"item_id":"1","n":"\\ufffd"}');
});

t.test('keys that would alter a prototype are quarantined anywhere and in any spelling', async (t) => {
  const keys = ['"__proto__"', '"__pr\\u006fto__"', '"\\u005f_proto__"'];
  for (const key of keys) {
    t.match(quarantine(`{${key}:{"admin":true}}`), { reason: /prototype/ }, key);
    t.match(quarantine(`{"item":{"item_id":"1","a":[{${key}:1}]}}`), { reason: /prototype/ }, key);
  }
  t.match(quarantine('{"item":{"item_id":"1","c\\u006fnstructor":{"prototype":{}}}}'), { reason: /prototype/ });
  t.match(quarantine('__proto__=1&item_id=2', { contentType: form }), { reason: /prototype/ });
  t.equal(
    deliver({ item: { item_id: '1', constructor: 'Bob', note: '__proto__ constructor prototype' } }).entityId,
    '1',
  );
  t.equal(({} as Record<string, unknown>).admin, undefined);
});

t.test('what is no JSON object is quarantined with a reason, keeping what the URL says', async (t) => {
  const bodies = [
    '',
    ' ',
    'hello',
    'null',
    '42',
    '"x"',
    '[]',
    '[{"invoice":{"invoice_id":"1"}}]',
    '{}',
    '{"a":NaN}',
    '{"a":Infinity}',
  ];
  bodies.push(
    '{"a":1',
    '{"invoice":{"invoice_id":"1","customer_name":"The "Best" Shop"}}',
    '{"a":"\u0000"}',
    '{"invoice":null}',
  );
  for (const body of bodies) {
    const parsed = quarantine(body, { organizationId: '60', module: 'invoices', action: 'edit' });
    t.match(
      parsed,
      { reason: /.{20}/, organizationId: '60', module: 'invoice', action: 'updated', entityId: null },
      body,
    );
    quarantine(body);
  }
  t.match(quarantine(Buffer.from([0x7b, 0xc0, 0xaf])), { reason: /UTF-8/ });
  t.match(quarantine('{"secret":"canary", oops}').reason, /not valid JSON at character \d+/);
  t.notMatch(quarantine('canary').reason, /canary/, 'a reason never quotes the payload');
});

t.test('hostile sizes are quarantined quickly', async (t) => {
  const started = performance.now();
  t.match(quarantine(`{"item":${'['.repeat(100_000)}`), { reason: /nests deeper/ });
  t.match(quarantine(`[${'1e130000,'.repeat(50_000)}1]`), { reason: /exponent/ });
  const wide = Array.from({ length: 80_000 }, (_, i) => `"k${i}":1`).join(',');
  t.match(quarantine(`{${wide}}`), { reason: /more than 10000 fields/ });
  t.equal(deliver({ item: { item_id: '1', name: 'x'.repeat(900_000) } }).entityId, '1');
  // Some 100 ms here; the bound tells linear from quadratic.
  t.ok(performance.now() - started < 5000);
});

t.test('check calls are recognised whatever the URL says', async (t) => {
  const { form: formCall, json } = sample('check-call');
  for (const { content_type, raw_body } of [formCall, json]) {
    t.same(parse(raw_body, { contentType: content_type, module: 'nonsense', action: ' ' }), { kind: 'check' });
  }
});

t.test('any JSON value survives the cut: the record equals what was wrapped', async (t) => {
  const random = seeded(20260609);
  for (let round = 0; round < 500; round++) {
    const record = { item_id: '1', ...randomObject(random, 4) };
    const layouts = [
      { item: record },
      { noise: randomValue(random, 2), Items: [record] },
      { item: record, z: 1 },
      record,
    ];
    const body = JSON.stringify(layouts[round % 4], null, round % 3);
    t.same(JSON.parse(deliver(body, { module: 'item' }).record), JSON.parse(JSON.stringify(record)));
  }
});

/** Mulberry32: the same numbers on every machine, so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function randomObject(random: () => number, depth: number): Record<string, unknown> {
  const keys = Array.from({ length: Math.floor(random() * 6) }, () => randomText(random));
  return Object.fromEntries(keys.map((key) => [`k${key}`, randomValue(random, depth - 1)]));
}

function randomValue(random: () => number, depth: number): unknown {
  const kinds = [
    () => randomText(random),
    () => (random() - 0.5) * 10 ** Math.floor(random() * 30),
    () => [null, true, false, '', ' ', 0][Math.floor(random() * 6)],
    () => Array.from({ length: Math.floor(random() * 4) }, () => randomValue(random, depth - 1)),
    () => randomObject(random, depth),
  ];
  return kinds[Math.floor(random() * (depth > 0 ? 5 : 3))]?.();
}

function randomText(random: () => number): string {
  const alphabet = [
    'a',
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '\n',
    'é',
    '中',
    '😀',
    '\u001b',
    '\u2028',
    '/',
    ' ',
    'u0000',
  ];
  return Array.from({ length: Math.floor(random() * 8) }, () => alphabet[Math.floor(random() * alphabet.length)]).join(
    '',
  );
}

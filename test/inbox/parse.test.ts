import t from 'tap';
import { sample } from '../samples.ts';
import { deliver, parse, quarantine, type Request } from './deliver.ts';

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

t.test('the action comes from the URL, else DELETE, else body or times; a body never deletes', async (t) => {
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
  t.equal(action(fresh, { action: 'deleted&' }), 'deleted', 'what Zoho leaves at the end of a URL');
  t.equal(action({ invoice_id: '1' }), 'updated', 'without times');
  for (const path of ['a b', 'dé', 'x'.repeat(65), 'a\u0000']) {
    t.match(quarantine({ invoice: fresh }, { action: path }), { reason: /action/, entityId: '1' }, path);
  }
});

t.test('the version is the time of the last change, else of creation', async (t) => {
  const last_modified_time = '2026-06-09T09:47:43-0400';
  const updated_time = '2026-06-09T09:47:44+05:30';
  const created_time = '2026-06-09T09:47:45Z';
  const version = (times: object) => {
    const { version, versioned, unreadableTime } = deliver({ invoice: { invoice_id: '1', status: 'sent', ...times } });
    return [version?.toISOString(), versioned, unreadableTime];
  };
  t.same(version({ last_modified_time, updated_time, created_time }), ['2026-06-09T13:47:43.000Z', true, null]);
  t.same(version({ last_modified_time: ' ', updated_time, created_time }), ['2026-06-09T04:17:44.000Z', true, null]);
  t.same(version({ last_modified_time: null, created_time }), ['2026-06-09T09:47:45.000Z', false, null]);
  t.same(version({ last_modified_time: '', created_time: 'soon' }), [undefined, false, null]);
});

t.test('a time of change that cannot be read is no version and is said to be unreadable', async (t) => {
  const unreadable = [
    ...['soon', '2026-06-09', '2026-06-09T09:47:43', '0000-01-01T00:00:00Z', '2026-13-09T09:47:43Z', 5, true],
    ...['2026-02-30T09:47:43Z', '2026-02-29T09:47:43Z', '2026-04-31T00:00:00-0400', '2026-06-09T24:00:00Z'],
    ...['2026-06-09T09:47:60Z', '2026-06-09T09:47:43+9999', `2026-06-09T09:47:43.${'0'.repeat(50)}Z`],
  ];
  const others = { updated_time: '2026-06-09T09:47:44Z', created_time: '2026-06-09T09:47:43Z' };
  for (const last_modified_time of unreadable) {
    const invoice = { invoice_id: '1', ...others, last_modified_time };
    const expected = { version: null, versioned: false, unreadableTime: 'last_modified_time', action: 'updated' };
    t.match(deliver({ invoice }), expected, String(last_modified_time));
  }
  const leapDay = deliver({ invoice: { invoice_id: '1', last_modified_time: '2028-02-29T23:59:59-1200' } });
  t.match(leapDay, { version: new Date('2028-03-01T11:59:59Z'), unreadableTime: null });
});

t.test('a body without a version, or without a field of a full record, is partial', async (t) => {
  const { id_only, full_snapshot } = sample('delete.webhook');
  t.match(deliver(id_only, { action: 'deleted' }), { eventType: 'invoice.deleted', partial: true, version: null });
  t.match(deliver(full_snapshot, { action: 'deleted' }), { eventType: 'invoice.deleted', partial: true });
  const { invoice } = sample('invoice.webhook');
  t.match(deliver({ invoice }), { partial: false });
  const { line_items: _, ...listRow } = invoice;
  t.match(deliver({ invoice: listRow }), { partial: true, versioned: true });
  const { last_modified_time: __, created_time: ___, ...undated } = invoice;
  t.match(deliver({ invoice: undated }), { partial: true, version: null });
});

t.test('a delivery says whether it named its organization', async (t) => {
  const invoice = { invoice_id: '1' };
  t.match(deliver({ invoice }), { organizationId: 'default', organizationNamed: false });
  t.match(deliver({ invoice, organization_id: '6' }), { organizationNamed: true });
  t.match(deliver({ invoice }, { organizationId: '6' }), { organizationNamed: true });
  t.match(quarantine({ widget: {} }), { organizationId: 'default', organizationNamed: false });
  t.match(quarantine({ widget: {} }, { organizationId: '6' }), { organizationNamed: true });
});

t.test('a segment of the URL longer than any id is refused, whatever it ends in', async (t) => {
  const invoice = { invoice_id: '1' };
  // The first is what `[?&]+$` took quadratic time for; the second shows that no pattern looks at a long segment at all.
  for (const filling of [`${'&'.repeat(15_900)}x`, '&'.repeat(200), '?'.repeat(200), 'x'.repeat(200)]) {
    const segment = `invoice${filling}`;
    t.match(quarantine({ invoice }, { module: segment }), { module: null, reason: /name its module in the/ });
    t.match(quarantine({ invoice }, { action: segment }), { reason: /action cannot be used/ });
    t.match(quarantine({ invoice }, { organizationId: segment }), { reason: /organization id cannot be used/ });
  }
});

t.test('check calls are recognised whatever the URL says', async (t) => {
  const { form: formCall, json } = sample('check-call');
  for (const { content_type, raw_body } of [formCall, json]) {
    t.same(parse(raw_body, { contentType: content_type, module: 'nonsense', action: ' ' }), { kind: 'check' });
  }
});

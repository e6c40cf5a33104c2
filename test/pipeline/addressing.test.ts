/** What a delivery is about, however it says so: URL, method, body, or nothing but an id. */
import t from 'tap';
import { sample, sampleBody } from '../samples.ts';
import { startSystem } from '../system.ts';
import { deliver, deliverInOrder, FORM, mirrored, settled } from './zoho.ts';

const system = await startSystem(t, { ZOHO_ORGANIZATION_ID: '60000000009' });
const { invoice } = sample('invoice.webhook');

async function eventOf(event_id: string) {
  const columns = 'organization_id, module, action, entity_id, event_type';
  const { rows } = await system.pool.query(`select ${columns} from tds_inbox_events where event_id = $1`, [event_id]);
  return rows[0];
}

async function inboxSize(organization: string): Promise<number | null> {
  const { rowCount } = await system.pool.query('select from tds_inbox_events where organization_id = $1', [
    organization,
  ]);
  return rowCount;
}

t.test('the organization comes from the URL, else from the body, else it is the default one', async (t) => {
  const body = { organization_id: 60000000002, invoice };
  const fromUrl = await deliver(system, { to: '/60000000001', body });
  const fromBody = await deliver(system, { body });
  const byDefault = await deliver(system, { body: { invoice } });
  t.match(await eventOf(fromUrl.event_id), { organization_id: '60000000001' });
  t.match(await eventOf(fromBody.event_id), { organization_id: '60000000002' });
  t.match(await eventOf(byDefault.event_id), { organization_id: '60000000009' });
});

t.test('what Zoho leaves at the end of a URL changes nothing', async (t) => {
  for (const end of ['', '?', '&', '?&', '/', '/?']) {
    const { event_id } = await deliver(system, { to: `/60/invoice/updated${end}`, body: { invoice, end } });
    t.match(await eventOf(event_id), { organization_id: '60', event_type: 'invoice.updated' }, end);
  }
  for (const end of ['?', '&', '/?']) t.equal((await deliver(system, { to: end, body: { invoice, end } })).status, 202);
});

t.test('PUT is another POST; DELETE deletes, with a body or a form that holds no more than the id', async (t) => {
  const id = { invoice_id: invoice.invoice_id };
  const put = await deliver(system, { to: '/put', method: 'PUT', body: { invoice } });
  t.match(await eventOf(put.event_id), { event_type: 'invoice.updated' });
  const removals = [
    { to: '/delete-json', body: { invoice: id } },
    { to: '/delete-form/invoices', contentType: FORM, body: `invoice_id=${invoice.invoice_id}` },
  ];
  for (const removal of removals) {
    const to = removal.to.split('/', 2).join('/');
    await deliverInOrder(system, { to, body: { invoice } }, { ...removal, method: 'DELETE' });
    t.match(await mirrored(system, to.slice(1)), [{ module: 'invoice', deleted: true, record: /INV-000001/ }]);
  }
});

t.test('numeric ids of 18 digits arrive with every digit, in the mirror and its views', async (t) => {
  const record = '{"contact_id":260815000000113012,"contact_name":"A","last_modified_time":"2026-06-09T09:47:43-0400"}';
  for (const body of [`{"contact":${record}}`, record]) {
    const organization = body === record ? 'flat' : 'wrapped';
    await deliverInOrder(system, { to: `/${organization}`, body });
    t.match(await mirrored(system, organization), [{ entity_id: '260815000000113012', record: /260815000000113012/ }]);
    const { rows } = await system.pool.query('select contact_id from books_contacts where organization_id = $1', [
      organization,
    ]);
    t.same(rows, [{ contact_id: '260815000000113012' }]);
  }
});

t.test('a body that only points at a record, or has no version, never overwrites it, but marks it stale', async (t) => {
  const { custom_raw_json, custom_form_params } = sample('transports');
  await deliverInOrder(
    system,
    { to: '/partial', body: sampleBody('invoice.webhook') },
    { to: '/partial', body: sample('delete.webhook').id_only },
    { to: '/partial', body: custom_raw_json.raw_body },
    { to: '/partial', body: custom_form_params.raw_body, contentType: FORM },
    { to: '/partial', body: { invoice: { ...sample('delete.webhook').id_only.invoice, event: 'invoice.paid' } } },
  );
  t.match(await mirrored(system, 'partial'), [{ record: /"status": "sent"/, deleted: false }]);
  const { rows } = await system.pool.query(
    "select outcome from tds_sync_queue where organization_id = 'partial' order by arrival",
  );
  t.same(
    rows.map(({ outcome }) => outcome),
    ['applied', 'partial', 'partial', 'partial', 'partial'],
  );
});

t.test('without a version a repeat is one only while the first waits', async (t) => {
  const to = '/unversioned';
  const body = { invoice: { invoice_id: '5', status: 'sent' } };
  await system.pool.query('update tds_queue_state set paused = true');
  const first = await deliver(system, { to, body });
  const whileItWaits = await deliver(system, { to, body });
  await system.pool.query('update tds_queue_state set paused = false');
  await settled(system);
  const [afterwards] = await deliverInOrder(system, { to, body });
  t.match(whileItWaits, { event_id: first.event_id, duplicate: true });
  t.equal(afterwards?.duplicate, false, 'two real changes can look alike');
  t.not(afterwards?.event_id, first.event_id);
  t.equal(await inboxSize('unversioned'), 2);
  t.equal((await mirrored(system, 'unversioned')).length, 1);
});

t.test('the same bytes for another organization, module or action are another delivery', async (t) => {
  const body = { payment: { payment_id: '7', updated_time: '2026-06-09T09:47:43-0400', amount: 5 } };
  const ways = ['/a', '/b', '/a/customerpayment/created', '/a/vendorpayment/created', '/a/customerpayment/deleted'];
  const ids = [];
  for (const to of ways) ids.push((await deliver(system, { to, body })).event_id);
  t.equal(new Set(ids).size, ways.length);
  const spelledOtherwise = await deliver(system, { to: '/a/payments/create', body });
  t.match(spelledOtherwise, { event_id: ids[2], duplicate: true }, 'but a spelling is not another action');
});

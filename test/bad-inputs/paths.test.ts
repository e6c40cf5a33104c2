/** Methods and paths that are nearly right, with and without BASE_PATH. */
import t, { type Test } from 'tap';
import { waitFor } from '../helper.ts';
import { FORM } from '../pipeline/zoho.ts';
import { startApi, startSystem } from '../system.ts';
import { invoice } from './bodies.ts';
import { type Case, runTable, type Table } from './run.ts';
import { type Answer, CURRENT_SECRET, converse, get, post, sign, type Target } from './send.ts';

const system = await startSystem(t, { ZOHO_WEBHOOK_SECRET: CURRENT_SECRET });
const body = invoice('"total":598');

const refused = (status: number, send: Case['send']): Case => ({ send, answer: status, effect: 'nothing' });

const METHODS: Table = {
  'HEAD delivers nothing': refused(405, (at) => post(at, { method: 'HEAD' })),
  'PATCH delivers nothing': refused(405, (at) => post(at, { body, method: 'PATCH' })),
  'OPTIONS delivers nothing, and no other site may ask for it': {
    ...refused(405, (at) =>
      post(at, {
        method: 'OPTIONS',
        headers: { origin: 'https://evil.example', 'access-control-request-method': 'PUT' },
      }),
    ),
    also: (t, _at, [answer]) => t.equal(answer?.headers['access-control-allow-origin'], undefined),
  },
  'TRACE is not answered with what was sent': refused(405, (at) => raw(at, 'TRACE', '/60')),
  'a method of WebDAV': refused(405, (at) => raw(at, 'PROPFIND', '/60')),
  'a method that does not exist': refused(400, (at) => raw(at, 'DELIVER', '/60')),
  'a method in small letters': refused(400, (at) => raw(at, 'post', '/60')),
  'CONNECT opens no tunnel': refused(0, (at) => converse(at, 'CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n')),
};

function raw(at: Target, method: string, path: string): Promise<Answer> {
  const start = `${method} /webhooks/zoho-books${path} HTTP/1.1`;
  return converse(at, [start, 'Host: localhost', 'Connection: close', 'Content-Length: 0', '', ''].join('\r\n'));
}

/** What the inbox holds under the delivery's event id. */
async function eventOf({ text }: Answer) {
  const { event_id } = JSON.parse(text);
  const columns = 'organization_id, module, action, entity_id, event_type, quarantine_reason';
  const { rows } = await system.pool.query(`select ${columns} from tds_inbox_events where event_id = $1`, [event_id]);
  return rows[0];
}

/** A signed delivery to this very path below /webhooks/zoho-books. */
async function deliverTo(path: string, unique: string): Promise<Answer> {
  const sent = invoice(`"total":598,"unique":"${unique}"`);
  const answer = await fetch(`${system.api.url}/webhooks/zoho-books${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-zoho-webhook-signature': sign(sent) },
    body: sent,
  });
  return { status: answer.status, headers: {}, text: await answer.text(), sent: Buffer.from(sent) };
}

async function arrives(t: Test, path: string, expected: Record<string, unknown>): Promise<void> {
  const answer = await deliverTo(path, path);
  t.equal(answer.status, 202, path);
  t.match(await eventOf(answer), expected, path);
}

runTable(t, system, METHODS);

t.test('segments may be percent-encoded', async (t) => {
  const usual = { organization_id: '60', event_type: 'invoice.updated', quarantine_reason: null };
  await arrives(t, '/6%30/in%76oice/upd%61ted', usual);
  await arrives(t, '/%20%36%30%20/invoices/edit', usual);
  await arrives(t, '/60/Invoice/Updated%3F', usual);
  await arrives(t, '/%E2%82%AC%2F%F0%9F%98%80', { organization_id: '€/😀', event_type: 'invoice.updated' });
});

t.test('an authentic delivery to a segment that means nothing is kept, not lost', async (t) => {
  const quarantined = { quarantine_reason: /.{20}/ };
  await arrives(t, '/60%00/invoice', quarantined);
  await arrives(t, '/60/in%00voice', quarantined);
  await arrives(t, '/60/widgets', { ...quarantined, module: 'widgets' });
  await arrives(t, '/60/bill', { ...quarantined, module: 'bill' });
  await arrives(t, '/60/invoice/de%20leted', quarantined);
  await arrives(t, `/60/invoice/${'x'.repeat(90)}`, quarantined);
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    await arrives(t, `/60/${name}`, quarantined);
    await arrives(t, `/${name}/invoice/${name}`, { entity_id: '1' });
  }
});

t.test('a segment of any length is an answer in time, not a lost delivery', async (t) => {
  for (const length of [100, 101, 500, 5000]) {
    await arrives(t, `/${'6'.repeat(length)}/invoice`, length <= 100 ? { entity_id: '1' } : { quarantine_reason: /./ });
  }
});

t.test('a segment that is empty counts as one that is not there', async (t) => {
  await arrives(t, '/60/invoice/updated/', { organization_id: '60', event_type: 'invoice.updated' });
  await arrives(t, '/60//deleted', { organization_id: '60', event_type: 'invoice.deleted' });
  await arrives(t, '//invoice/deleted', { organization_id: 'default', event_type: 'invoice.deleted' });
  await arrives(t, '//invoice', { organization_id: 'default', event_type: 'invoice.updated' });
  await arrives(t, '//', { organization_id: 'default', event_type: 'invoice.updated' });
});

t.test('a path that is no UTF-8, or goes further, is refused', async (t) => {
  t.equal((await deliverTo('/%ff', 'a')).status, 400);
  t.equal((await deliverTo('/%zz', 'b')).status, 400);
  t.equal((await deliverTo('/60/invoice/updated/more', 'c')).status, 404);
});

t.test('text from the URL does not enter the log', async (t) => {
  const { text: answer } = await deliverTo('/%E2%80%AEgpj.exe/%C2%9B2Jwidgets/ali%40example.com', 'log');
  const { event_id } = JSON.parse(answer);
  const log = await waitFor('the log line', () =>
    system.api
      .output()
      .split('\n')
      .find((line) => line.includes(event_id) && line.includes('"message":"request"')),
  );
  t.match(JSON.parse(log).metadata, { path: '/webhooks/zoho-books/:organization_id/:module/:action' });
  t.notMatch(log, /gpj|widgets|ali/);
  t.notOk(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(log), 'no control characters, no switched directions');
});

t.test('everything works below BASE_PATH, and when the proxy has cut it off', async (t) => {
  const settings = { DATABASE_URL: system.url, ZOHO_WEBHOOK_SECRET: CURRENT_SECRET, BASE_PATH: '/tds' };
  const { origin: url } = new URL((await startApi(t, settings)).url);
  const at: Target = { system, url, organization: 'base-path', t };
  const signed = sign(`JSONString${body}`);
  const form = { body: new URLSearchParams({ JSONString: body }).toString(), contentType: FORM, signature: signed };
  const plain = await post(at, { ...form, to: '/invoice/updated?' });
  const below = await post({ ...at, url: `${url}/tds` }, { ...form, to: '/invoice/updated&' });
  t.match([plain.status, below.status], [202, 202]);
  t.match(JSON.parse(below.text), { event_id: JSON.parse(plain.text).event_id, duplicate: true }, 'they are one');
  for (const path of ['/tdsx/health', '/tds/tds/health', '/TDS/health'])
    t.equal((await get(at, path)).status, 404, path);
  t.equal((await get(at, '/tds/health')).status, 200);
});

/** Bodies as integrators configure them: other content types, envelopes, templates that went wrong. */
import t from 'tap';
import { FORM } from '../pipeline/zoho.ts';
import { startSystem } from '../system.ts';
import { V2 } from './bodies.ts';
import { mirrored, quarantined } from './expect.ts';
import { type Case, records, runTable, type Table } from './run.ts';
import { CURRENT_SECRET, post, type Request, sign } from './send.ts';

const RECORD = `{"invoice_id":"1","status":"sent","last_modified_time":"${V2}"}`;
const WRAPPED = `{"invoice":${RECORD}}`;

/** It becomes the row that the default payload would have become. */
const asUsual = (request: Request): Case => ({
  send: (at) => post(at, request),
  answer: 202,
  effect: 'mirrored',
  also: async (t, at) =>
    t.match(await records(at), [
      { module: 'invoice', entity_id: '1', record: /^\{"status": "sent", "invoice_id": "1"/ },
    ]),
});

/** Signed as Zoho signs a form: names and values in the order of the names. */
function form(fields: Record<string, string>): Request {
  const signed = Object.entries(fields)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flat()
    .join('');
  return { body: new URLSearchParams(fields).toString(), contentType: FORM, signature: sign(signed) };
}

const CONTENT_TYPES: Table = {
  'a vendor type that is JSON is read as JSON': asUsual({
    body: WRAPPED,
    contentType: 'application/vnd.zoho.books+json',
  }),
  'content types may be in capitals': asUsual({ body: WRAPPED, contentType: 'APPLICATION/JSON; CHARSET=UTF-8' }),
  'a blank may stand before the charset': asUsual({ body: WRAPPED, contentType: 'application/json ; charset="utf-8"' }),
  'a byte order mark is no part of the JSON': asUsual({ body: `\ufeff${WRAPPED}` }),
  'blank lines around the JSON do not matter': asUsual({ body: `\r\n\t ${WRAPPED}\r\n\r\n` }),
  'a form in capitals is a form': asUsual({
    ...form({ JSONString: WRAPPED }),
    contentType: 'APPLICATION/X-WWW-FORM-URLENCODED',
  }),
  'bytes of Latin-1 under that charset are kept for the operator': {
    send: (at) =>
      post(at, {
        body: Buffer.from(WRAPPED.replace('sent', 'versé'), 'latin1'),
        contentType: 'application/json; charset=ISO-8859-1',
      }),
    answer: 202,
    effect: 'quarantined',
  },
};

const ENVELOPES: Table = {
  'JSON text under JSONString': asUsual({ body: JSON.stringify({ JSONString: WRAPPED }) }),
  'an object under JSONString': asUsual({ body: `{"JSONString":${WRAPPED}}` }),
  'JSON text that holds JSON text': asUsual({
    body: JSON.stringify({ payload: JSON.stringify({ JSONString: WRAPPED }) }),
  }),
  'data beside an event name': asUsual({ body: `{"event":"invoice.updated","event_id":"99","data":${WRAPPED}}` }),
  'the bare record in an envelope of any name': asUsual({ body: `{"body":${RECORD}}` }),
  'an array of one': asUsual({ body: `{"invoices":[${RECORD}]}` }),
  'the module key in another spelling': asUsual({ body: `{"Invoices":${RECORD}}` }),
  'a form with an empty field beside the full one': asUsual(form({ payload: '', JSONString: WRAPPED })),
  'a form with the record under its module and other fields': asUsual(
    form({ event: 'x', invoice: RECORD, zone: 'eu' }),
  ),
  'a sales order in camel case': {
    send: (at) => post(at, { body: `{"salesOrder":{"salesorder_id":"1","invoices":[],"last_modified_time":"${V2}"}}` }),
    answer: 202,
    effect: 'mirrored',
    also: async (t, at) => t.match(await records(at), [{ module: 'salesorder' }]),
  },
};

const TEMPLATES: Table = {
  'a template with numbers as text and placeholders that stayed empty': mirrored(
    `{"event":"invoice.updated","organization_id":"\${ORGANIZATION.ID}","invoice_id":"1","total":"598.00","due":""}`,
    async (t, at) => t.match(await records(at), [{ entity_id: '1', record: /"total": "598.00"/ }]),
  ),
  'a template whose placeholder for the id was not filled in': quarantined(`{"invoice_id":"\${INVOICE.INVOICE_ID}"}`),
  'a template broken by a quotation mark in a name': quarantined(`{"invoice_id":"1","customer":"The "Best" Shop"}`),
  'a template broken by a line end in a note': quarantined('{"invoice_id":"1","notes":"first\nsecond"}'),
  'records that are empty, or not there': quarantined('{"invoice":{}}', '{"invoice":[]}', '{"invoices":[]}', '{}'),
  'several records at once': quarantined(`{"invoices":[${RECORD},${RECORD.replace('1', '2')}]}`),
  'records of two modules': quarantined(`{"invoice":${RECORD},"bill":{"bill_id":"2"}}`),
  'text where the record should be': quarantined('{"invoice":"1"}', '{"invoice":null}', '{"invoice":true}'),
  'JSON text with an error in it': quarantined(JSON.stringify({ JSONString: '{"invoice":{' })),
  'a form that decodes to no UTF-8': {
    send: (at) => post(at, { body: 'JSONString=%ff%fe', contentType: FORM, signature: sign('JSONString\ufffd\ufffd') }),
    answer: 202,
    effect: 'quarantined',
  },
};

const CHECK_CALLS: Table = Object.fromEntries(
  [
    { body: 'payload=', contentType: FORM },
    { body: 'JSONString=', contentType: FORM },
    { body: '{ "payload" : "" }' },
    { body: '\ufeff{"payload":" "}', contentType: 'application/json; charset=utf-8' },
    { body: 'payload=', contentType: FORM, to: '/invoice/deleted?', method: 'DELETE' },
  ].map((request): [string, Case] => [
    `the check call ${request.method ?? ''} ${JSON.stringify(request.body)} needs no signature and is no event`,
    { send: (at) => post(at, { ...request, signature: null }), answer: 200, effect: 'nothing' },
  ]),
);

const system = await startSystem(t, { ZOHO_WEBHOOK_SECRET: CURRENT_SECRET });
runTable(t, system, { ...CONTENT_TYPES, ...ENVELOPES, ...TEMPLATES, ...CHECK_CALLS });

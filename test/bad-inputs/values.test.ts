/** Values at the edge of what a record may hold: ids, times, money and text, digit for digit and letter for letter. */
import t from 'tap';
import { asJsonb } from '../pipeline/zoho.ts';
import { startSystem } from '../system.ts';
import { invoice, V1, V2 } from './bodies.ts';
import { mirrored, quarantined } from './expect.ts';
import { type Case, records, runTable, type Table } from './run.ts';
import { CURRENT_SECRET, post, postAll, type Target } from './send.ts';

const item = (members: string) => `{"item":{"name":"Nut","last_modified_time":"${V2}",${members}}}`;

const knownAs = (id: string, body: string): Case =>
  mirrored(body, async (t, at) => t.match(await records(at), [{ entity_id: id }]));

const IDS: Table = {
  'an id of 30 digits, unquoted': knownAs('1'.repeat(30), item(`"item_id":${'1'.repeat(30)}`)),
  'an id of 18 digits beyond 2^53': knownAs('260815000000113012', item('"item_id":260815000000113012')),
  'blanks around an id': knownAs('77', item('"item_id":" 77 "')),
  'an id with letters, as test systems have': knownAs('nut-7', item('"item_id":"nut-7"')),
  'an id beside a longer one of another module': knownAs('7', item('"item_id":7,"vendor_id":260815000000113012')),
  'ids that are none': quarantined(
    ...['""', '"  "', 'null', '0', '-5', '1.5', '1e3', 'true', '[1]', '{"id":1}', '"a\\u0000b"', '"\\ud800"'].map(
      (id) => item(`"item_id":${id}`),
    ),
  ),
  'an id longer than an index takes': quarantined(item(`"item_id":"${'7'.repeat(5000)}"`)),
};

/** Of two deliveries the one with this time counts as newer than 09:47:43-0400, though it arrives first. */
const newer = (time: string): Case => ({
  send: (at) => postAll(at, [{ body: invoice('"total":2', time) }, { body: invoice('"total":1', V2) }]),
  answer: 202,
  effect: 'mirrored',
  also: async (t, at) => t.match(await records(at), [{ record: /"total": 2/, version: new Date(time) }]),
});

/** It has no version that could be compared: it fills an empty place and overwrites nothing. */
const unversioned = (time: string): Case => ({
  send: (at) => postAll(at, [{ body: invoice('"total":1', V1) }, { body: invoice('"total":2', time) }]),
  answer: 202,
  effect: 'mirrored',
  also: async (t, at) => t.match(await records(at), [{ record: /"total": 1/, version: new Date(V1) }]),
});

const TIMES: Table = {
  'a time half an hour off the full hour': newer('2026-06-09T19:17:44+0530'),
  'a time in UTC': newer('2026-06-09T13:47:44Z'),
  'a time with a colon in its offset': newer('2026-06-10T03:47:44+14:00'),
  'a time on another day than in UTC': newer('2026-06-10T00:17:44+1030'),
  'a time with a fraction': newer('2026-06-09T09:47:43.001-0400'),
  'a leap day': mirrored(invoice('"total":1', '2024-02-29T23:59:59-1200'), async (t, at) => {
    t.match(await records(at), [{ version: new Date('2024-03-01T11:59:59Z') }]);
    t.match(await viewOf(at), { last_modified_time: new Date('2024-03-01T11:59:59Z') });
  }),
  'a leap second': unversioned('2026-06-30T23:59:60Z'),
  'a time without an offset': unversioned('2026-06-09T09:47:43'),
  'a time in words': unversioned('09 Jun 2026 09:47'),
  'a month that does not exist': unversioned('2026-13-09T09:47:43-0400'),
  'an offset that does not exist': unversioned('2026-06-09T09:47:43+9999'),
};

async function viewOf({ system, organization }: Target) {
  const { rows } = await system.pool.query(
    'select *, (record -> $2)::text as exact from books_invoices where organization_id = $1',
    [organization, 'total'],
  );
  return rows[0];
}

/** As the record keeps it, and as the view shows it: money as numeric, or null where it is none. */
const money = (source: string, exact: string, total: string | null): Case =>
  mirrored(invoice(`"total":${source}`), async (t, at) => t.match(await viewOf(at), { exact, total }));

const MONEY: Table = {
  'a negative amount': money('-5.25', '-5.25', '-5.25'),
  'an amount with an exponent': money('1e3', '1000', '1000'),
  'a small amount with an exponent': money('25E-4', '0.0025', '0.0025'),
  'the sum of 0.1 and 0.2 as JavaScript writes it': money(`${0.1 + 0.2}`, '0.30000000000000004', '0.30000000000000004'),
  'cents that end in zero': money('598.00', '598.00', '598.00'),
  'more digits than a double holds': money(
    '12345678901234567890.123456789',
    '12345678901234567890.123456789',
    '12345678901234567890.123456789',
  ),
  'an amount as text': money('"598.00"', '"598.00"', '598.00'),
  'an amount with a thousands separator': money('"1,598.00"', '"1,598.00"', null),
  'no amount': money('""', '""', null),
  null: money('null', 'null', null),
  'an object': money('{"value":5}', '{"value": 5}', null),
  'an amount of 400 digits': money('1e400', `1${'0'.repeat(400)}`, null),
  'an amount of a million digits': quarantined(invoice('"total":1e1000000'), invoice(`"total":${'9'.repeat(1001)}`)),
};

const TEXTS: Record<string, string> = {
  Arabic: 'شركة النور للتجارة',
  'an emoji with a skin tone': '👍🏽 👨‍👩‍👧‍👦',
  'a letter and its accent apart': 'Zoe\u0308',
  'directions that are switched': '\u202eevil\u202c \u2066x\u2069',
  'line separators': 'a\u2028b\u2029c\u0085d',
  'signs of HTML, SQL and shells': `<img src=x onerror=alert(1)> '; drop table x; -- $(reboot) \`id\``,
  'a formula': '=HYPERLINK("http://evil","x")',
  'control characters': '\u0001\u001b[2J\u007f\u009b',
  'a private use and a last code point': '\ue000\u{10ffff}\ufffe',
  'nothing but blanks': ' \u00a0\u3000 ',
};

const TEXT: Table = Object.fromEntries(
  Object.entries(TEXTS).map(([name, text]) => [
    `text with ${name} is kept to the letter`,
    mirrored(invoice(`"customer_name":${JSON.stringify(text)}`), async (t, at) => {
      t.equal(JSON.parse((await records(at))[0]?.record ?? '{}').customer_name, text);
    }),
  ]),
);

const SHAPES: Table = {
  'the same keys further inside': mirrored(
    invoice(
      '"contact":{"contact_id":"9","invoice_id":"8","last_modified_time":"2030-01-01T00:00:00Z"},"invoice":{"invoice_id":"7"}',
    ),
    async (t, at) => t.match(await records(at), [{ module: 'invoice', entity_id: '1', version: new Date(V2) }]),
  ),
  'fields that are null or have names that are empty, long or foreign': mirrored(
    invoice(`"notes":null,"":0,"${'k'.repeat(10_000)}":1,"اسم":"x","a.b":1,"$where":1,"constructor":2,"toString":3`),
    async (t, at) => t.equal((await records(at))[0]?.record.includes('"اسم": "x"'), true),
  ),
  'sixty levels': mirrored(invoice(`"deep":${'['.repeat(60)}${']'.repeat(60)}`)),
  'sixty-five levels': quarantined(invoice(`"deep":${'['.repeat(63)}${']'.repeat(63)}`)),
  'two hundred lines': mirrored(invoice(`"line_items":[${lines(200)}]`), async (t, { system, organization }) => {
    const { rows } = await system.pool.query(
      'select count(*)::int as n, sum(item_total)::text as sum from books_invoice_lines where organization_id = $1',
      [organization],
    );
    t.same(rows, [{ n: 200, sum: '2000.200' }]);
  }),
  'lines that are none': mirrored(invoice('"line_items":[null,5,"x",[],{}]')),
  'every digit and key of a record with all of it': {
    send: (at) => post(at, { body: `{"bill":{"bill_id":"1","a":[1.10,-0,{"b":1e2}],"c":"\\u00e4","d":{},"e":[]}}` }),
    answer: 202,
    effect: 'mirrored',
    async also(t, at) {
      const sent = '{"bill_id":"1","a":[1.10,-0,{"b":1e2}],"c":"ä","d":{},"e":[]}';
      t.equal((await records(at))[0]?.record, await asJsonb(at.system, sent));
    },
  },
};

function lines(count: number): string {
  return Array.from({ length: count }, (_, n) => `{"line_item_id":"${n}","item_total":10.001,"rate":""}`).join();
}

const system = await startSystem(t, { ZOHO_WEBHOOK_SECRET: CURRENT_SECRET });
runTable(t, system, { ...IDS, ...TIMES, ...MONEY, ...TEXT, ...SHAPES });

t.test('and all of them can be listed through the views', async (t) => {
  for (const view of ['books_invoices', 'books_invoice_lines', 'books_items', 'books_bills']) {
    t.ok((await system.pool.query(`select * from ${view}`)).rowCount, view);
  }
});

/** The J cases: bodies that are authentic and yet no good JSON, or JSON that hurts whoever reads it. */
import { invoice } from './bodies.ts';
import { holds, mirrored, quarantined } from './expect.ts';
import { records, type Table } from './run.ts';
import { get, post } from './send.ts';

const bytes = (hex: string) => Buffer.concat([Buffer.from('{"n":"'), Buffer.from(hex, 'hex'), Buffer.from('"}')]);
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const fields = (count: number) => Array.from({ length: count }, (_, n) => `"key_${n}":${n}`).join();

export const json: Table = {
  J01: quarantined(''),
  J02: quarantined('hello', '{"invoice":{"invoice_id":"1","customer_name":"The "Best" Shop"}}'),
  J04: quarantined('null', '42', '"x"', '[]'),
  J06: mirrored(invoice('"name":"a\\u0000b"'), async (t, at, [answer]) => {
    await holds(/"name": "a\ufffdb"/)?.(t, at, []);
    const { rows } = await at.system.pool.query('select raw_body from tds_inbox_payloads where event_id = $1', [
      JSON.parse(answer?.text ?? '').event_id,
    ]);
    t.ok(rows[0]?.raw_body?.equals(answer?.sent), 'the bytes as received are kept beside the sanitised record');
  }),
  J07: quarantined('{"invoice":{"invoice_id":"1","name":"a\0b"}}'),
  J09: mirrored(invoice('"n":"\\ud800"'), holds(/"n": "\ufffd"/)),
  J11: quarantined(bytes('c0af'), bytes('eda0bdedb880')),
  J13: {
    ...quarantined(`{"invoice":{"invoice_id":"1","bomb":[${'1e130000,'.repeat(50_000)}1]}}`),
    async also(t, at) {
      const { text } = await get(at, '/dashboard/dead-letter?limit=1');
      t.ok(text.length < 1024 * 1024, 'what an operator is shown is no larger than what came');
    },
  },
  J15: mirrored('{"customer_id":1234567890123456789,"customer_name":"A"}', async (t, at) => {
    t.match(await records(at), [
      { module: 'contact', entity_id: '1234567890123456789', record: /"customer_id": 1234567890123456789,/ },
    ]);
  }),
  J17: mirrored(invoice('"total":-0,"balance":-0.0'), async (t, at) => {
    const { rows } = await at.system.pool.query(
      'select total, balance from books_invoices where organization_id = $1',
      [at.organization],
    );
    t.same(rows, [{ total: '0', balance: '0.0' }]);
  }),
  J18: mirrored(invoice('"status":"draft","status":"paid"'), holds(/"status": "paid"/)),
  J20: {
    ...quarantined('{"__proto__":{"admin":true}}', invoice('"__proto__":{"admin":true}')),
    also: (t) => t.equal(({} as Record<string, unknown>).admin, undefined),
  },
  J22: quarantined(nested(100_000), invoice(`"deep":${nested(100_000)}`)),
  J24: mirrored(invoice(fields(55_000)), holds(/"key_54999": 54999[,}]/)),
  J25: mirrored(invoice(`"notes":"${'long '.repeat(180_000)}"`), async (t, at) => {
    const { text } = await get(at, '/dashboard/recent-events?limit=1');
    t.ok(text.length < 2000, 'the list of events has no room for it');
    t.notMatch(at.system.api.output() + at.system.worker.output(), /long long/, 'nor has the log');
  }),
  J27: {
    ...mirrored(invoice('"10":1,"2":2')),
    async also(t, at) {
      const { text } = await post(at, { body: invoice('"2":2,"10":1') });
      t.match(JSON.parse(text), { duplicate: false }, 'other bytes are another delivery');
    },
  },
  J29: mirrored(invoice('"state":"dead_letter","attempt":9,"priority":0,"role":"admin"'), async (t, at) => {
    const columns = 'status, attempt_count, priority';
    const { rows } = await at.system.pool.query(`select ${columns} from tds_sync_queue where organization_id = $1`, [
      at.organization,
    ]);
    t.same(rows, [{ status: 'completed', attempt_count: 1, priority: 1 }]);
  }),
  J31: quarantined('{"a":NaN}', '{"a":Infinity}', "{'a':1}", '{"a":1,}', '{"a":01}'),
  J32: mirrored(invoice(`"notes":"${personalData(200_000)}"`), async (t, at) => {
    // That every reader is linear is shown in steps, by steps.test.ts.
    t.notMatch(at.system.api.output() + at.system.worker.output(), '+964 770 123', 'and the log has none of it');
  }),
  J34: {
    send: (at) => get(at, '/dashboard/recent-events?q=%25_%5C&limit=1'),
    answer: 200,
    effect: 'nothing',
    also: async (t, at) => t.equal((await get(at, '/dashboard/dead-letter?q=%25_%5C&limit=1')).status, 200),
  },
  J36: mirrored(
    invoice('"customer_name":"\\u001b[2J \\u202e\u202e","invoice_number":"\\u001b]0;x\\u0007"'),
    async (t, at) => {
      await holds(/"customer_name": "\\u001b\[2J \u202e\u202e"/)?.(t, at, []);
      const log = at.system.api.output() + at.system.worker.output();
      t.notOk(log.includes('\u001b') || log.includes('\u202e'), 'the log holds none of it');
    },
  ),
};

/** Text on which a careless pattern for e-mail addresses, telephone numbers or URLs goes back and forth. */
function personalData(length: number): string {
  const pieces = ['a@a.a.a.a.', '+964 770 123 ', '//a:b:c//a:b', '((((281)) ', 'Bearer Bearer ', '\u202ea.b-c_'];
  return pieces
    .map((piece) => piece.repeat(length / pieces.length / piece.length))
    .join('')
    .slice(0, length);
}

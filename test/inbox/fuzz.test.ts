/** Thousands of spoilt samples: none throws, and what is accepted as a record PostgreSQL accepts too. */
import t from 'tap';
import { type Delivery, parseDelivery } from '../../src/inbox/parse.ts';
import { testDatabase } from '../helper.ts';
import { sampleBody } from '../samples.ts';

const { pool } = await testDatabase(t);

const ROUNDS = 4000;
const SAMPLES = ['invoice', 'contact', 'customerpayment', 'item'].map((name) => sampleBody(`${name}.webhook`));
const FORM = 'application/x-www-form-urlencoded';

/** What a sender, a template or an attacker may put into a body. */
const TOKENS = [
  ...['\\u0000', '\\ud800', '\\udc00\\ud83d', '\\ud83d\\ude00', '\\', '\\x', '\0', '\ud83d\ude00', '\u2028', '\ufeff'],
  ...['{', '}', '[', ']', '"', ':', ',', '{}', '[]', '""', 'null', 'true', 'NaN', '//', '/*', '<', '%', '&', '=', '+'],
  ...['0', '-0', '1e400', '1e401', '1e-400', '9'.repeat(900), '1.', '.5', '01', '-', '1E+3', '0x1', '1_000'],
  ...['"__proto__":1,', '"constructor":{"prototype":1},', '"invoice_id":"1",', '"invoice":', '"payload":"{', '$X'],
  ...['"last_modified_time":"2026-02-31T25:61:61+9999",', '"organization_id":1e5,', '"line_items":[[[[', '\r\n'],
].map((token) => Buffer.from(token));

/** Numerical Recipes' generator: a failure must come again. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const random = randomNumbers(20_261_121);
const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;

/** Puts a token, a random byte or a piece of the body itself over some of its bytes. */
function spoil(body: Buffer): Buffer {
  const from = random(body.length);
  const to = pick([from, from, from + 1, from + random(20), random(body.length)]);
  const piece = pick([pick(TOKENS), pick(TOKENS), Buffer.from([random(256)]), body.subarray(from, from + random(300))]);
  return Buffer.concat([body.subarray(0, from), piece, body.subarray(Math.max(from, to))]);
}

function spoiltBody(): { body: Buffer; contentType: string } {
  let body = pick(SAMPLES);
  for (let times = 1 + random(3); times > 0; times--) body = spoil(body);
  if (random(4) > 0) return { body, contentType: 'application/json' };
  const form = `${pick(['JSONString', 'payload', 'invoice'])}=${encodeURIComponent(body.toString())}`;
  return { body: random(4) === 0 ? spoil(Buffer.from(form)) : Buffer.from(form), contentType: FORM };
}

t.test('spoilt bodies are deliveries that PostgreSQL takes, or quarantined with a reason', async (t) => {
  const deliveries: Delivery[] = [];
  const reasons = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const parsed = parseDelivery({ ...spoiltBody(), method: 'POST', defaultOrganization: 'default' });
    if (parsed.kind === 'delivery') deliveries.push(parsed.delivery);
    if (parsed.kind === 'quarantine') reasons.add(parsed.reason.replace(/\d+|'.*'/g, ''));
  }
  t.ok(deliveries.length > ROUNDS / 20 && reasons.size > 5, `${deliveries.length} accepted, ${reasons.size} reasons`);
  const { rows } = await pool.query(
    `select count(*)::int as n from unnest($1::text[], $2::text[], $3::timestamptz[]) as d (record, id, version)
     where jsonb_typeof(record::jsonb) = 'object' and length(record::jsonb::text) < 100000 and id <> ''`,
    [deliveries.map((one) => one.record), deliveries.map((one) => one.entityId), deliveries.map((one) => one.version)],
  );
  t.equal(rows[0].n, deliveries.length);
});

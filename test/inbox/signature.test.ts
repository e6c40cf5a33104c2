import { createHmac } from 'node:crypto';
import t from 'tap';
import { verifySignature, verifyToken } from '../../src/inbox/signature.ts';
import { sample } from '../samples.ts';

const secret = 'mysecretkey12';
const json = 'application/json';
const form = 'application/x-www-form-urlencoded;charset=UTF-8';

function sign(signed: string, key = secret): string {
  return createHmac('sha256', key).update(signed).digest('hex');
}

function verify(header: string | undefined, body = '{}', query = '', contentType = json, secrets = [secret]): number {
  return verifySignature({ header, query, contentType, body: Buffer.from(body), secrets });
}

t.test("Zoho's own vectors verify, in either case of hex", async (t) => {
  for (const { query, raw_body, hex } of sample('signature-vectors').vectors) {
    t.equal(verify(hex, raw_body, query), 0);
    t.equal(verify(hex.toUpperCase(), raw_body, query), 0);
  }
});

t.test('anything but the right digest in hex is refused without throwing', async (t) => {
  const right = sign('{}');
  const base64 = createHmac('sha256', secret).update('{}').digest('base64');
  const flipped = right.slice(0, -1) + (right.endsWith('0') ? '1' : '0');
  const wrong = [
    undefined,
    '',
    right.slice(1),
    `${right}0`,
    `${right}\n`,
    base64,
    flipped,
    'ü'.repeat(64),
    sign('{ }'),
  ];
  for (const header of wrong) t.equal(verify(header), -1, String(header));
  t.equal(verify(right, '{}', '', json, []), -1, 'no secrets');
});

t.test('the index of the secret that matched is returned, so that a rotation can be watched', async (t) => {
  const secrets = ['the-new-secret', 'the-old-secret'];
  t.equal(verify(sign('{}', 'the-new-secret'), '{}', '', json, secrets), 0);
  t.equal(verify(sign('{}', 'the-old-secret'), '{}', '', json, secrets), 1);
  t.equal(verify(sign('{}', 'removed-secret'), '{}', '', json, secrets), -1);
});

t.test('query pairs are signed sorted by key, repeated keys in the order sent', async (t) => {
  t.equal(verify(sign('Za10b2b1{}'), '{}', 'b=2&a10&b=1&Z='), 0);
  t.equal(verify(sign('Za10b1b2{}'), '{}', 'b=2&a10&b=1&Z='), -1);
});

t.test('a trailing ? or & on the configured URL changes nothing', async (t) => {
  for (const query of ['', '?', '&', '?&', '&&']) t.equal(verify(sign('{}'), '{}', query), 0, query);
  for (const query of ['a=1', '?a=1', 'a=1&', '&a=1']) t.equal(verify(sign('a1{}'), '{}', query), 0, query);
});

t.test('escapes in a query verify whether they were signed decoded or as sent', async (t) => {
  const query = 'name=a+b%20c&x=%C3%A9';
  for (const signed of ['namea b cxé', 'namea+b cxé', 'namea+b%20cx%C3%A9']) {
    t.equal(verify(sign(`${signed}{}`), '{}', query), 0, signed);
  }
  t.equal(verify(sign('namea%zz{}'), '{}', 'name=a%zz'), 0, 'a malformed escape stays as it is');
});

t.test('a form is signed by its decoded pairs together with those of the query, and nothing is appended', async (t) => {
  const { raw_body: body } = sample('transports').form_JSONString;
  const value = new URLSearchParams(body).get('JSONString');
  t.equal(verify(sign(`JSONString${value}`), body, '', form), 0);
  t.equal(verify(sign(`JSONString${value}a1z2`), body, 'z=2&a=1', form), 0);
  t.equal(verify(sign(body), body, '', form), -1, 'the raw form');
  t.equal(verify(sign('payload'), 'payload=', '', form), 0, "the check call's form");
});

t.test('one changed byte of the body is refused', async (t) => {
  t.equal(verify(sign('{"total":10}'), '{"total":11}'), -1);
  t.equal(verify(sign('a1'), 'a=2', '', form), -1);
});

t.test('a form with a thousand fields and more is not even read', async (t) => {
  const signed = (fields: number) => verify(sign('a'.repeat(fields)), 'a&'.repeat(fields), '', form);
  t.equal(signed(1000), 0);
  t.equal(signed(1001), -1, 'half a million would take seconds, for whoever sends them');
});

t.test('the body is signed as bytes, whatever they are', async (t) => {
  const body = Buffer.from([0xff, 0x00, 0xc0]);
  const header = createHmac('sha256', secret).update(body).digest('hex');
  t.equal(verifySignature({ header, query: '', contentType: json, body, secrets: [secret] }), 0);
});

t.test('a shared token must be equal, and an empty one never is', async (t) => {
  t.equal(verifyToken('second', ['first', 'second']), 1);
  for (const header of [undefined, '', 'firs', 'first ', 'FIRST']) t.equal(verifyToken(header, ['first', '']), -1);
  t.equal(verifyToken('anything', []), -1);
});

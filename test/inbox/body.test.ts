import t from 'tap';
import { bodyText, isCheckCall, isForm } from '../../src/inbox/body.ts';
import { sample } from '../samples.ts';

const json = 'application/json; charset=utf-8';
const form = 'application/x-www-form-urlencoded';

t.test('only the form content type makes a form, in any case and with parameters', async (t) => {
  for (const type of [form, `${form};charset=UTF-8`, `${form} ; charset=x`, form.toUpperCase()])
    t.ok(isForm(type), type);
  for (const type of ['', json, 'text/plain', `${form}x`, `text/${form}`]) t.notOk(isForm(type), type);
});

t.test('a JSON body is its text, without a byte order mark', async (t) => {
  t.equal(bodyText(Buffer.from('{"a":"é"}'), json), '{"a":"é"}');
  t.equal(bodyText(Buffer.from('\ufeff{"a":1}'), json), '{"a":1}');
});

t.test('a form becomes a flat JSON object of strings, the last of a repeated field', async (t) => {
  t.same(JSON.parse(bodyText(Buffer.from('a=1&b=x+y%2B%C3%A9&b=z&c'), form)), { a: '1', b: 'z', c: '' });
  t.same(JSON.parse(bodyText(Buffer.from('discount=10%&n=%zz'), form)), { discount: '10%', n: '%zz' });
  t.same(bodyText(Buffer.from('__proto__=1'), form), '{"__proto__":"1"}');
});

t.test('plain JSON declared as a form is still read', async (t) => {
  t.equal(bodyText(Buffer.from(' {"a":"b&c=d"}'), form), ' {"a":"b&c=d"}');
});

t.test('bytes that are not UTF-8 are refused, also behind percent signs', async (t) => {
  const wrong = {
    overlong: [0xc0, 0xaf],
    surrogates: [0xed, 0xa0, 0x80],
    latin1: [0xe9],
    utf16: [0xff, 0xfe, 0x7b, 0],
  };
  for (const [name, bytes] of Object.entries(wrong)) t.throws(() => bodyText(Buffer.from(bytes), json), /UTF-8/, name);
  for (const escaped of ['a=%C0%AF', 'a=%ED%A0%80', 'a=%E9']) {
    t.throws(() => bodyText(Buffer.from(escaped), form), /UTF-8/, escaped);
  }
});

t.test('an empty body is refused', async (t) => {
  for (const type of [json, form]) t.throws(() => bodyText(Buffer.from(' \n'), type), /empty/);
});

t.test("Zoho's check call is recognised in both forms and any spacing", async (t) => {
  for (const { content_type, raw_body } of [sample('check-call').form, sample('check-call').json]) {
    t.ok(isCheckCall(bodyText(Buffer.from(raw_body), content_type)), raw_body);
  }
  for (const body of ['payload', 'payload=&', 'JSONString=', 'payload=+', 'payload=\r\n']) {
    t.ok(isCheckCall(bodyText(Buffer.from(body), form)), body);
  }
  for (const text of ['{"payload":""}', '\n{ "payload" :\t" " }\r\n', '{"JSONString":""}'])
    t.ok(isCheckCall(text), text);
  for (const text of ['{}', '{"payload":"x"}', '{"payload":"","a":1}', '""']) t.notOk(isCheckCall(text), text);
});

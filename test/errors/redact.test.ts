import t from 'tap';
import { topFrame } from '../../src/errors/detail.ts';
import { personalValues, redact, redactBody } from '../../src/errors/redact.ts';

const RECORD = JSON.stringify({
  contact_id: '460000000026049',
  contact_name: 'Jane Canary',
  status: 'active',
  billing_address: { city: 'Mosul', zip: 41001 },
  last_modified_time: '2026-01-15T10:30:00+0100',
}).replace('41001', '41001.50');

t.test('of a record, whatever is no id, time or word of the API may be somebody’s', async (t) => {
  t.same(personalValues(RECORD), ['Jane Canary', '41001.50', 'Mosul']);
  t.same(personalValues(null), []);
  t.same(personalValues('no JSON'), []);
});

t.test('a message loses these values, addresses, telephone numbers and amounts, and keeps its ids', async (t) => {
  const message = 'Jane Canary <jane@canary.example> +49 (170) 123-4567 owes 1,234.50 or 41001.50 on 460000000026049';
  t.equal(redact(message, personalValues(RECORD)), '… <…> … owes … or … on 460000000026049');
  t.equal(redact('connect ETIMEDOUT 10.0.0.1:5432', []), 'connect ETIMEDOUT 10.0.0.1:5432');
});

t.test(
  'the body of an answer keeps keys, codes and pointers, and of sentences the words in small letters',
  async (t) => {
    const body = {
      errors: [
        { code: 1002, status: '422', source: { pointer: '/data/email' }, detail: 'Jane Canary is not allowed.' },
      ],
      total: 1234.5,
      ok: false,
      'jane@canary.example': 1,
    };
    t.equal(
      redactBody(JSON.stringify(body)),
      '{"errors":[{"code":1002,"status":"422","source":{"pointer":"/data/email"},"detail":"… is not allowed."}],' +
        '"total":…,"ok":false,"…":…}',
    );
    t.equal(redactBody('{"message":"it is Jane Can'), '{"message":"it is …"', 'also one that is cut off');
    t.equal(redactBody('<h1>502 Bad Gateway</h1> for jane'), '… for jane');
    t.equal(redactBody('{"code":"Jane Canary","a":"x\\"y"}'), '{"code":"…","a":"…"}');
    t.equal(redactBody(`{"a":${'"'.repeat(2000)}`).includes('Jane'), false);
  },
);

t.test('the top frame is function and file, without folder, line and column', async (t) => {
  t.equal(
    topFrame('    at Object.handle (file:///srv/tds/releases/42/handlers/crm.ts:12:11)'),
    'Object.handle (crm.ts)',
  );
  t.equal(topFrame('    at async post (C:\\tds\\crm.ts:1:2)\n    at x (y.ts:1:1)'), 'post (crm.ts)');
  t.equal(topFrame('    at file:///srv/crm.ts:3:4'), 'crm.ts');
  t.equal(topFrame(null), '');
  t.equal(topFrame('nothing like it'), '');
});

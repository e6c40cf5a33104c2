import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import path from 'node:path';
import t from 'tap';
import { explainSignature } from '../../src/inbox/explain-signature.ts';

const SECRET = 'a-secret-of-zoho';
const BODY = '{"invoice":{"customer_name":"Jane Canary"}}';
const sign = (text: string, secret = SECRET) => createHmac('sha256', secret).update(text).digest('hex');

function explain(header: string | undefined, { query = '', body = BODY, contentType = 'application/json' } = {}) {
  const request = { header, query, contentType, body: Buffer.from(body), secrets: [SECRET, 'the-secret-before'] };
  const { isRight, steps } = explainSignature(request, ['the-secret-of-last-year']);
  t.notMatch(steps.join(), /Canary|secret-of|secret-before/, 'no body and no secret');
  return [isRight, steps.at(-1), steps];
}

t.test('the verdict names what is wrong', async (t) => {
  t.match(explain(sign(BODY)), [true, /is right/]);
  t.match(explain(sign(`a1b2${BODY}`), { query: 'b=2&a=1' }), [true, /is right/, /sorted: a, b/]);
  t.match(explain(sign(BODY, 'the-secret-before')), [true, /is right/]);
  t.match(explain(undefined), [false, /no signature/]);
  t.match(explain('abc'), [false, /64 hexadecimal/]);
  t.match(explain(sign(BODY), { query: 'a=1' }), [false, /right without the query/]);
  t.match(explain(sign(BODY, 'the-secret-of-last-year')), [false, /no longer accepted/]);
  t.match(explain(sign('other')), [false, /another one, or the body was changed/]);
});

t.test('a file that an editor has saved is recognised', async (t) => {
  const [, , steps] = explain(sign(BODY), { body: `${BODY}\n` });
  t.match(steps, /without its last line break/);
});

t.test('the command reads the file, numbers the steps and ends with the verdict', async (t) => {
  const file = path.join(t.testdir({ 'body.json': BODY }), 'body.json');
  const run = (args: string[], env: Record<string, string> = { ZOHO_WEBHOOK_SECRET: SECRET }) => {
    const command = path.join(import.meta.dirname, '../../src/inbox/explain-signature.ts');
    const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], {
      env: { PATH: process.env.PATH, ...env },
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  };
  t.match(run(['--file', file, '--header', sign(BODY)]), {
    status: 0,
    output: /^1\. .*\n\d\. Verdict: The signature is right\.\n$/s,
  });
  t.match(run(['--file', file, '--header', sign('x')]), {
    status: 1,
    output: /Secret 1 gives \w{8}…\w{4}: another one/,
  });
  t.match(run(['--file', `${file}.gone`]), { status: 64, output: /ENOENT/ });
  t.match(run(['--wrong']), { status: 64, output: /--wrong/ });
  t.match(run([]), { status: 64, output: /^Usage/ });
  t.match(run(['--file', file, '--header', 'a'], {}), { status: 78, output: /ZOHO_WEBHOOK_SECRET/ });
});

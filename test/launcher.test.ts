import { spawnSync } from 'node:child_process';
import path from 'node:path';
import t from 'tap';
import { loadConfig } from '../src/config.ts';
import { banner } from '../src/launcher/banner.ts';
import { renderLine } from '../src/launcher/render.ts';

const LAUNCHER = path.join(import.meta.dirname, '../src/launcher');

function line(fields: object): string {
  return JSON.stringify({ timestamp: '2026-01-15T10:00:00.000Z', level: 'warn', message: 'x', ...fields });
}

t.test('a log line is made readable, and anything else stays as it is', async (t) => {
  t.same(renderLine(line({ component: 'api', metadata: { path: '/a b', bytes: 3, config: { port: 1 } } })), {
    text: '10:00:00 warn  api x path="/a b" bytes=3',
    level: 'warn',
  });
  for (const other of ['console.log of a handler', '{"no": "log line"}', '{broken'])
    t.same(renderLine(other), { text: other });
});

t.test('problems and the stack of an error stand below their line', async (t) => {
  const error = { message: 'no', stack: 'Error: no\n    at a (file:1:2)\n    at b (file:3:4)' };
  t.equal(
    renderLine(line({ level: 'error', metadata: { error } })).text,
    '10:00:00 error x error=no\n    at a (file:1:2)\n    at b (file:3:4)',
  );
  t.equal(
    renderLine(line({ level: 'fatal', metadata: { problems: ['PORT is wrong.', 'HOST too.'] } })).text,
    '10:00:00 fatal x\n    PORT is wrong.\n    HOST too.',
  );
});

t.test('what a stranger sent cannot command the terminal', async (t) => {
  const { text } = renderLine(line({ metadata: { entity: '\x1b]0;owned\x07', way: '\x9b2J\u202e', two: 'a\nb' } }));
  t.notMatch(text, /(?!\n)[\p{Cc}\p{Cf}]/u);
  t.match(text, '\\u001b]0;owned\\u0007');
  t.equal(text.split('\n').length, 1);
});

t.test('there is colour on a terminal only, and not where NO_COLOR is set', async (t) => {
  const script = `const { styled } = await import(${JSON.stringify(`${LAUNCHER}/terminal.ts`)}); console.log(styled("red", "warned"));`;
  const command = `'${process.execPath}' --input-type=module-typescript --eval '${script}'`;
  const inTerminal = (env: Record<string, string>) =>
    spawnSync('script', ['-qec', command, '/dev/null'], {
      env: { PATH: process.env.PATH, TERM: 'xterm', ...env },
      encoding: 'utf8',
    });
  const plain = spawnSync('sh', ['-c', command], { env: { PATH: process.env.PATH }, encoding: 'utf8' });
  t.equal(plain.stdout, 'warned\n');
  const shown = inTerminal({});
  if (shown.error) return t.comment('without the program script there is no terminal to try');
  t.match(shown.stdout, '\x1b[31mwarned');
  t.equal(inTerminal({ NO_COLOR: '1' }).stdout.trim(), 'warned');
});

t.test('the banner names the organization that is configured, and never a secret', async (t) => {
  const config = loadConfig({
    ZOHO_ORGANIZATION_ID: '777',
    ZOHO_WEBHOOK_SECRET: 'canary-of-24-characters',
    OPERATOR_TOKENS: 'ann:operator:canary-token-1',
    DATABASE_URL: 'postgresql://tds:canary@db.example.com/tds',
  });
  const text = banner(config, undefined);
  t.match(text, '/webhooks/zoho-books/777/invoice/updated');
  t.match(text, /webhooks +accepted signed\n/);
  t.match(text, /dashboard +for ann \(operator\)\n/);
  t.match(text, 'psql "$DATABASE_URL"');
  t.notMatch(text, 'canary');
});

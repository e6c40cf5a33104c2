/** What the command line says and prints: wrong words, refusals, formats, files, and the commands of the documents. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { COMMANDS } from '../../src/cli/program.ts';
import { addDeadLetter } from '../api/client.ts';
import { cliOn } from './tds.ts';

const { db, pool, HTTP, LOCAL, nobody, tds } = await cliOn(t);

t.test('wrong words are told what was meant', async (t) => {
  t.match(await tds(['evnts', 'list']), { code: 2, err: /Did you mean events/ });
  t.match(await tds(['events', 'lst']), { code: 2, err: /Did you mean list/ });
  const cases: [string[], RegExp][] = [
    [['events', 'show', 'x'], /x is no id: it looks like/],
    [['events', 'list', '--since', 'yesterday'], /--since takes 30m, 2h/],
    [['events', 'list', '--limit', '0'], /--limit takes a whole number/],
    [['events', 'list', '-o', 'yaml'], /Allowed choices are table, json, jsonl, csv/],
    [['events', 'quarantine', randomUUID()], /needs --reason/],
    [['dlq', 'retry'], /say which: ids, --group/],
    [['dlq', 'retry', '--all', '--force', '--yes'], /--force needs --reason/],
    [['dlq', 'discard', '--all', '--yes'], /needs --reason/],
    [['dlq', 'discard', '--reason', 'x'], /say which: ids, --group/],
    [['dlq', 'edit', randomUUID()], /needs --reason/],
    [['dlq', 'edit', await addDeadLetter(db), '--reason', 'x', '--file', '/nowhere'], /cannot be read as JSON/],
    [['queue', 'purge'], /add --yes/],
    [['workflow', 'start', 'Reconcile', '--payload', 'x'], /JSON object/],
    [['completion', 'tcsh'], /bash, zsh, fish/],
  ];
  for (const [words, said] of cases) t.match(await tds(words), { code: 2, out: '', err: said }, words.join(' '));
});

t.test('what the API refuses is its own sentence, and exit code 1', async (t) => {
  t.match(await tds(['events', 'replay', randomUUID()]), { code: 1, out: '', err: /No event has this id/ });
  t.match(await tds(['queue', 'resume'], { ...HTTP, tdsToken: 'viewer-token' }), {
    code: 1,
    err: /needs the role operator/,
  });
  t.match(await tds(['status'], { ...HTTP, tdsToken: 'wrong-token' }), { code: 1, err: /OPERATOR_TOKENS/ });
  t.match(await tds(['status', '--url', nobody]), {
    code: 1,
    err: /No answer from http:.* \(ECONNREFUSED\)/,
  });
  t.match(await tds(['status', '--url', 'ftp://x']), { code: 2, err: /must look like/ });
});

t.test('workflows are listed, and an unknown one is not found', async (t) => {
  await pool.query('delete from tds_workflows');
  for (const config of [HTTP, LOCAL]) {
    t.match(await tds(['workflow', 'list', '-o', 'json'], config), { code: 0, out: '[]\n', err: '' });
    for (const verb of ['show', 'pause', 'resume', 'retry'])
      t.match(await tds(['workflow', verb, randomUUID()], config), { code: 1, err: /No workflow has this id/ }, verb);
  }
  const payload = '{"organization_id":"10","modules":["invoice"]}';
  t.match(await tds(['workflow', 'start', 'Nonsense', '--payload', payload], LOCAL), {
    code: 1,
    err: /Nonsense|workflow/,
  });
});

t.test('a signature is explained, and what connects to Zoho says what is missing', async (t) => {
  const { createHmac } = await import('node:crypto');
  const secret = 'a-secret-of-a-webhook';
  const body = '{"invoice":{}}';
  const file = path.join(t.testdir({ 'body.json': body }), 'body.json');
  const config = { ...HTTP, webhookSecrets: [secret] };
  const header = createHmac('sha256', secret).update(body).digest('hex');
  t.match(await tds(['zoho', 'explain-signature', '--file', file, '--header', header], config), {
    code: 0,
    out: /Verdict: The signature is right\.\n$/,
  });
  t.match(await tds(['zoho', 'explain-signature', '--file', file, '--header', 'x'], config), {
    code: 1,
    out: /Verdict/,
  });
  t.match(await tds(['zoho', 'explain-signature', '--file', '/nowhere'], config), { code: 2, err: /cannot be read/ });
  t.match(await tds(['zoho', 'connect']), { code: 2, out: /ZOHO_CLIENT_ID and ZOHO_CLIENT_SECRET are not set/ });
  t.match(await tds(['zoho', 'check', '--modules', 'x']), { code: 2, err: /x is not a module/ });
  await pool.query(`insert into tds_zoho_quota (organization_id, day_limit, day_remaining) values ('10', 1000, 7)`);
  t.match(await tds(['zoho', 'quota', '-o', 'json']), { code: 0, out: /"day_limit": 1000/ });
});

t.test('the account that works on the database is named in the audit log', async (t) => {
  const id = await addDeadLetter(db);
  await tds(['dlq', 'retry', id], LOCAL);
  const { operator } = await db
    .selectFrom('tds_audit_log')
    .select('operator')
    .where('target', '=', id)
    .executeTakeFirstOrThrow();
  t.notMatch(operator, /^(local|admin)$/);
  t.match(operator, /./);
});

t.test('numbers keep every digit, and what comes from outside cannot move the cursor', async (t) => {
  const id = await addDeadLetter(db, '{"total":12345678901234567.10}');
  t.match(await tds(['dlq', 'show', id, '-o', 'json']), { out: /"total": 12345678901234567\.10/ });
  await pool.query('update tds_dead_letter_queue set last_error = $1 where id = $2', ['\u001b[2Jgone\r\n=cmd()', id]);
  const table = await tds(['dlq', 'list']);
  t.notMatch(table.out, '\u001b[2J');
  t.match(await tds(['dlq', 'list', '-o', 'csv']), { out: /^id,event_type.*\r\n/ });
});

t.test('an export goes to a file of this account alone', async (t) => {
  const out = path.join(t.testdir(), 'failed.csv');
  for (const config of [HTTP, LOCAL]) {
    const ran = await tds(['export', '--failed-only', '--out', out, '-o', 'json'], config);
    t.equal(ran.code, 0, ran.err);
    t.match(JSON.parse(ran.out), { what: 'failed', bytes: statSync(out).size });
    t.match(readFileSync(out, 'utf8'), /^id,event_type,/);
    t.equal(statSync(out).mode & 0o777, 0o600);
  }
  t.match(await tds(['export', '--out', '-']), { code: 0, out: /^id,event_type,/ });
  t.match(await tds(['export', 'users']), { code: 2, err: /cannot be exported/ });
  t.match(await tds(['export', '--unmask'], { ...HTTP, tdsToken: 'viewer-token' }), { code: 1, err: /role admin/ });
});

t.test('--watch repeats until it is ended', async (t) => {
  let rounds = 0;
  const sleep = async (ms: number) => {
    t.equal(ms, 5000);
    rounds += 1;
    return rounds < 3;
  };
  const { out } = await tds(['queue', 'stats', '--watch', '5', '-o', 'jsonl'], HTTP, { sleep });
  t.equal(out.trim().split('\n').length, 3);
});

t.test('every command of the documents is one', async (t) => {
  const root = path.join(import.meta.dirname, '../..');
  const documents = ['DEPLOYMENT.md', ...readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`)];
  const texts = documents.map((name) => readFileSync(path.join(root, name), 'utf8'));
  const examples = COMMANDS.flatMap(({ examples }) => examples);
  const lines = [...texts.flatMap((text) => text.match(/^tds .*$/gm) ?? []), ...examples];
  t.ok(lines.length > 60);
  const yes = { tty: { in: true, out: true, err: true }, ask: async () => true };
  for (const line of lines.filter(
    (line) => line.startsWith('tds ') && !/completion|migrate|config|views|zoho/.test(line),
  )) {
    const command = line.replace(/^tds /, '').replace(/ (\||>|\|\|) .*$/, '');
    const words = [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
    const { code, err } = await tds([...words, '--url', nobody], HTTP, yes);
    t.match(err + (words[0] === 'check' ? 'No answer' : ''), /No answer/, `${line}: ${code}`);
  }
});

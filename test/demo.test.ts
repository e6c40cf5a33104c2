import { execFile, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { demoDeliveries } from '../demo/deliveries.ts';
import { testDatabase } from './helper.ts';
import { startProcesses } from './runbook/processes.ts';

const ROOT = path.join(import.meta.dirname, '..');
const SAMPLES = path.join(ROOT, 'demo/samples');
const RETRY_AT_ONCE = { HANDLERS_DIR: path.join(ROOT, 'demo/handlers'), RETRY_BASE_SECONDS: '0' };

type Ending = { code: number; stdout: string; stderr: string };

/** Runs `npm run demo` with nothing in its environment but these settings. */
function runDemo(settings: Record<string, string>): Promise<Ending> {
  const env = { PATH: process.env.PATH, ...settings };
  return new Promise((resolve) => {
    execFile(process.execPath, [path.join(ROOT, 'demo/main.ts')], { env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

const portOf = (url: string) => new URL(url).port;

t.test('every sample is sent', async (t) => {
  const bodies = demoDeliveries('10234695', new Date()).map(({ body }) => normal(body));
  for (const file of readdirSync(SAMPLES)) {
    const { comment, ...content } = JSON.parse(readFileSync(path.join(SAMPLES, file), 'utf8'));
    // A file with a comment holds several bodies: bytes as they are on the wire, or objects.
    const parts = comment ? Object.values(content).map((part) => (part as Wire).raw_body ?? part) : [content];
    for (const part of parts) t.ok(bodies.includes(normal(part)), file);
  }
});

type Wire = { raw_body?: string };

/** The same text for the same JSON, however it is spaced. */
function normal(body: unknown): string {
  try {
    return JSON.stringify(typeof body === 'string' ? JSON.parse(body) : body);
  } catch {
    return String(body); // a form
  }
}

const settings: { title: string; given: Record<string, string> }[] = [
  { title: 'an open system', given: {} },
  {
    title: 'a system with proofs, tokens and a base path',
    given: {
      ZOHO_WEBHOOK_SECRET: 'demo-secret-12345',
      OPERATOR_TOKENS: 'eve:viewer:demo-token-12345',
      BASE_PATH: '/tds',
      ZOHO_ORGANIZATION_ID: '777',
    },
  },
];

for (const { title, given } of settings) {
  t.test(`against ${title}, it ends with one dead letter and says how to retry it`, async (t) => {
    const { url, db } = await testDatabase(t);
    const apiUrl = await startProcesses(t, { ...given, ...RETRY_AT_ONCE, DATABASE_URL: url });
    const { code, stdout, stderr } = await runDemo({ ...given, DATABASE_URL: url, PORT: portOf(apiUrl) });
    t.equal(code, 0, stderr);

    const letters = await db.selectFrom('tds_dead_letter_queue').select(['id', 'attempt_count']).execute();
    t.match(letters, [{ attempt_count: 3 }]);
    t.match(stdout, `${apiUrl}/dashboard/dead-letter/${letters[0]?.id}/retry`);
    t.match(stdout, `${apiUrl}/dashboard/\n`);
    t.notMatch(stdout, /demo-(secret|token)/, 'no secret is printed');
    t.notMatch(stdout, '\x1b', 'no progress line outside a terminal');

    const statuses = await db.selectFrom('tds_sync_queue').select('status').distinct().orderBy('status').execute();
    t.same(
      statuses.map(({ status }) => status),
      ['completed', 'dead_letter'],
    );
    const owners = await db.selectFrom('books_records').select('organization_id').distinct().execute();
    t.same(
      owners,
      [{ organization_id: given.ZOHO_ORGANIZATION_ID ?? '10234695' }],
      'every record has one organization',
    );
    const invoice = db.selectFrom('books_records').select('deleted_at').where('module', '=', 'invoice');
    t.equal((await invoice.execute()).filter(({ deleted_at }) => deleted_at === null).length, 1);
  });
}

t.test('a second run finds the versioned samples already there', async (t) => {
  const { url } = await testDatabase(t);
  const apiUrl = await startProcesses(t, { ...RETRY_AT_ONCE, DATABASE_URL: url });
  await runDemo({ PORT: portOf(apiUrl) });
  const { code, stdout } = await runDemo({ PORT: portOf(apiUrl) });
  t.equal(code, 0);
  t.match(stdout, /^ {2}contact +already here [0-9a-f-]{36}$/m);
});

t.test('without the demo handlers it says what is missing', async (t) => {
  const { url } = await testDatabase(t);
  const apiUrl = await startProcesses(t, { DATABASE_URL: url });
  const { code, stdout } = await runDemo({ PORT: portOf(apiUrl) });
  t.equal(code, 0);
  t.match(stdout, /none failed.*HANDLERS_DIR/);
});

t.test('without a running system it says what to do', async (t) => {
  const { code, stderr } = await runDemo({ PORT: '1' });
  t.equal(code, 1);
  t.match(stderr, 'Nothing answers at http://127.0.0.1:1: run npm start in another terminal.');
});

const terminal = spawnSync('script', ['--version']);

t.test(
  'in a terminal it shows how far it is',
  { skip: terminal.error ? 'script is not installed' : false },
  async (t) => {
    const { url } = await testDatabase(t);
    const apiUrl = await startProcesses(t, { ...RETRY_AT_ONCE, RETRY_BASE_SECONDS: '1', DATABASE_URL: url });
    const command = `'${process.execPath}' '${path.join(ROOT, 'demo/main.ts')}'`;
    const env = { PATH: process.env.PATH, PORT: portOf(apiUrl), TERM: 'xterm' };
    const shown = await new Promise<string>((resolve, reject) => {
      execFile('script', ['-qec', command, '/dev/null'], { env }, (error, stdout) =>
        error ? reject(error) : resolve(stdout),
      );
    });
    t.match(shown, /\d+ of \d+ events are done; one has failed \d of 3 attempts and will be tried again \(\d+ s\)/);
  },
);

t.test('with --pull it shows a pull, a repair and an agreement, and leaves nothing behind', async (t) => {
  const demo = [path.join(ROOT, 'demo/main.ts'), '--pull'];
  const shown = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, demo, { env: { PATH: process.env.PATH } }, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
  });
  t.match(shown, /SyncAll[\s\S]*completed after[\s\S]*verdict: repaired[\s\S]*verdict: agrees[\s\S]*Done\./);
});

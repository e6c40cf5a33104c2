import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { type Teardown, waitFor } from './helper.ts';
import { childrenOf, isAlive } from './process-table.ts';

const SCRIPT = path.join(import.meta.dirname, '../src/start.ts');
const START_TIMEOUT_MS = 60_000;

type System = {
  launcher: ChildProcess;
  /** Where the API answers. */
  url: string;
  home: string;
  port: string;
  output: () => string;
};

/** Runs `npm start` with a home of its own until it says that it is ready. */
async function startSystem(
  t: Teardown,
  { home = temporaryHome(t), port = '0', settings = {} }: { home?: string; port?: string; settings?: Settings } = {},
): Promise<System> {
  // Short leases: what a killed worker held is soon taken over.
  const { launcher, output } = launch(t, { TDS_DATA_DIR: home, PORT: port, LEASE_SECONDS: '5', ...settings });
  const url = await waitFor('the banner', () => bannerUrl(output(), launcher), START_TIMEOUT_MS);
  return { launcher, url, home, port: new URL(url).port, output };
}

type Settings = Record<string, string>;

/** Begins `npm start` with these settings. */
function launch(t: Teardown, settings: Settings): Pick<System, 'launcher' | 'output'> {
  const { DATABASE_URL: _, ...env } = process.env;
  const launcher = spawn(process.execPath, [SCRIPT], {
    env: { ...env, PORT: '0', DRAIN_SECONDS: '5', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => stopSystem(launcher));
  let output = '';
  launcher.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  return { launcher, output: () => output };
}

function bannerUrl(output: string, launcher: ChildProcess): string | undefined {
  if (launcher.exitCode !== null) throw new Error(`npm start ended with ${launcher.exitCode}:\n${output}`);
  return /console +(http:\S+)\/dashboard\//.exec(output)?.[1];
}

async function stopSystem(launcher: ChildProcess): Promise<void> {
  if (!isAlive(Number(launcher.pid))) return;
  launcher.kill('SIGTERM');
  await once(launcher, 'exit');
}

function temporaryHome(t: Teardown): string {
  const home = fs.mkdtempSync(path.join(tmpdir(), 'tds-start-'));
  t.teardown(() => fs.rmSync(home, { recursive: true, force: true }));
  return home;
}

/** The pid of the launcher's child that runs this script; undefined while there is none. */
function childPid({ launcher }: System, script: string): number | undefined {
  return childrenOf(Number(launcher.pid)).find(({ command }) => command.includes(script))?.pid;
}

function postgresPid({ home }: System): number {
  return Number.parseInt(fs.readFileSync(path.join(home, 'data/postmaster.pid'), 'utf8'), 10);
}

function allPids(system: System): { launcher: number; api: number; worker: number; postgres: number } {
  const api = childPid(system, 'api/main.ts');
  const worker = childPid(system, 'worker/main.ts');
  if (!api || !worker) throw new Error('a child is missing');
  return { launcher: Number(system.launcher.pid), api, worker, postgres: postgresPid(system) };
}

async function isReady({ url }: System): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`);
  return answer.status === 200;
}

async function sendWebhook({ url }: System, invoiceId: string): Promise<string> {
  const answer = await fetch(`${url}/webhooks/zoho-books`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ invoice: { invoice_id: invoiceId, last_modified_time: '2026-01-15T10:30:00+0100' } }),
  });
  const { event_id } = (await answer.json()) as { event_id: string };
  return event_id;
}

/** The event's status once the worker is done with it. */
async function isCompleted({ url }: System, eventId: string): Promise<boolean> {
  const answer = await fetch(`${url}/dashboard/recent-events?limit=10`);
  return /"completed"/.test(JSON.stringify(findEvent(await answer.json(), eventId)));
}

/** The object that holds this id, wherever the answer's list stands. */
function findEvent(answer: unknown, id: string): unknown {
  const lists = Array.isArray(answer) ? [answer] : Object.values(answer as object).filter(Array.isArray);
  return lists.flat().find((event) => JSON.stringify(event).includes(id)) ?? null;
}

t.test('an empty data folder becomes a healthy system that processes a webhook', async (t) => {
  const begun = Date.now();
  const system = await startSystem(t);
  t.comment(`healthy after ${Date.now() - begun} ms from an empty data folder`);
  t.equal((await fetch(`${system.url}/health`)).status, 200);
  const eventId = await sendWebhook(system, '9001');
  await waitFor('the event to be completed', () => isCompleted(system, eventId));
  t.match(system.output(), /curl http\S+\/webhooks\/zoho-books\/10234695\/invoice/, 'the banner says how to send one');
  t.match(system.output(), /PORT=\d+ npm run demo/, 'and how to send samples');
  t.match(system.output(), /psql 'postgresql:\/\//, 'and how to look into the database');
  t.match(system.output(), /^api {4}\| \d\d:\d\d:\d\d /m, 'output is prefixed and readable');
  t.match(system.output(), /organization +not set.*\(ZOHO_ORGANIZATION_ID\)/, 'settings that matter have a line');
  t.match(system.output().split('Ctrl-C stops everything')[1], /Warnings\n.*ZOHO_WEBHOOK_SECRET/, 'warnings come last');
  t.notMatch(system.output(), '\x1b', 'there is no colour in a pipe');
});

t.test('a child that is killed comes back', async (t) => {
  const system = await startSystem(t);
  for (const script of ['api/main.ts', 'worker/main.ts']) {
    const before = childPid(system, script);
    process.kill(Number(before), 'SIGKILL');
    await waitFor(`another ${script}`, () => ![before, undefined].includes(childPid(system, script)));
  }
  await waitFor('the API to be ready', () => isReady(system));
  const eventId = await sendWebhook(system, '9002');
  await waitFor('the event to be completed', () => isCompleted(system, eventId));
});

t.test('PostgreSQL that is killed comes back, and with it everything committed', async (t) => {
  const system = await startSystem(t);
  const eventId = await sendWebhook(system, '9003');
  process.kill(postgresPid(system), 'SIGKILL');
  await waitFor('PostgreSQL to be started again', () => /PostgreSQL is gone/.test(system.output()));
  await waitFor('the event to be completed', () => isCompleted(system, eventId));
});

t.test('after kill -9 of everything the next start works, with the data', async (t) => {
  const first = await startSystem(t);
  const eventId = await sendWebhook(first, '9004');
  for (const pid of Object.values(allPids(first))) process.kill(pid, 'SIGKILL');
  const begun = Date.now();
  const second = await startSystem(t, first);
  t.comment(`healthy after ${Date.now() - begun} ms from a killed system`);
  await waitFor('the event to be completed', () => isCompleted(second, eventId));
});

t.test('after kill -9 of the launcher alone its children leave and the next start takes their port', async (t) => {
  const first = await startSystem(t);
  const { launcher, api, worker } = allPids(first);
  process.kill(launcher, 'SIGKILL');
  const second = await startSystem(t, first);
  t.equal(second.url, first.url);
  await waitFor('the former children to be gone', () => !isAlive(api) && !isAlive(worker));
});

t.test('Ctrl-C, even twice, stops everything and leaves no process; the next start is warm', async (t) => {
  const system = await startSystem(t);
  const pids = Object.values(allPids(system));
  const exited = once(system.launcher, 'exit');
  system.launcher.kill('SIGINT');
  system.launcher.kill('SIGINT');
  t.strictSame(await exited, [0, null]);
  t.strictSame(pids.filter(isAlive), []);
  t.notOk(fs.existsSync(path.join(system.home, 'data/postmaster.pid')), 'PostgreSQL shut down cleanly');
  const begun = Date.now();
  await startSystem(t, system);
  t.comment(`healthy after ${Date.now() - begun} ms from a warm data folder`);
});

t.test('a wrong setting ends the start with a sentence and without a restart loop', async (t) => {
  const launcher = spawn(process.execPath, [SCRIPT], { env: { ...process.env, PORT: 'eighty' } });
  let told = '';
  launcher.stderr.on('data', (chunk) => {
    told += chunk;
  });
  const [code] = await once(launcher, 'exit');
  t.equal(code, 78);
  t.match(told, /PORT must be a whole number/);
});

t.test('a database that does not answer is named at once, without its password', async (t) => {
  const DATABASE_URL = 'postgresql://tds:canary@127.0.0.1:1/books';
  const { launcher, output } = launch(t, { DATABASE_URL });
  const begun = Date.now();
  await waitFor('what it waits for', () => /waiting for PostgreSQL/.test(output()));
  t.comment(`told after ${Date.now() - begun} ms`);
  t.match(output(), /waiting for PostgreSQL at 127\.0\.0\.1:1, database books \(DATABASE_URL\): connect ECONNREFUSED/);
  launcher.kill('SIGINT');
  t.strictSame(await once(launcher, 'exit'), [0, null]);
  t.notMatch(output(), 'canary');
});

t.test('a data folder that cannot be used is named, last', async (t) => {
  const file = path.join(temporaryHome(t), 'file');
  fs.writeFileSync(file, '');
  for (const [TDS_DATA_DIR, why] of [
    [file, 'is a file (EEXIST)'],
    [path.join(file, 'below'), 'lies below a file (ENOTDIR)'],
  ] as const) {
    const { launcher, output } = launch(t, { TDS_DATA_DIR });
    t.strictSame(await once(launcher, 'close'), [1, null]);
    const last = output().trim().split('\n').at(-1);
    t.match(last, `start failed: TDS_DATA_DIR: ${TDS_DATA_DIR} ${why}: set it to a folder`);
  }
  t.ok(fs.existsSync(file), 'it is still there');
});

t.test('a port or an address that cannot be had is named', async (t) => {
  const { launcher, output } = launch(t, {
    HOST: '192.0.2.1',
    OPERATOR_TOKENS: 'ann:viewer:ann-token-123',
    ZOHO_WEBHOOK_SECRET: 'a-secret-of-24-characters',
  });
  t.strictSame(await once(launcher, 'close'), [1, null]);
  t.match(output(), /start failed: HOST=192\.0\.2\.1 cannot be listened on \(EADDRNOTAVAIL\)/);
});

t.test('while the worker cannot start nothing says ready, and the mistake is the last thing said', async (t) => {
  const HANDLERS_DIR = temporaryHome(t);
  fs.writeFileSync(path.join(HANDLERS_DIR, 'ship.js'), 'export default {\n  eventTypes = [],\n};\n');
  const { launcher, output } = launch(t, { HANDLERS_DIR, TDS_DATA_DIR: temporaryHome(t) });
  t.strictSame(await once(launcher, 'close'), [78, null]);
  t.notMatch(output(), 'TDS Core is ready');
  t.match(output(), `HANDLERS_DIR: ${fs.realpathSync(HANDLERS_DIR)}/ship.js:2:3: `);
  t.match(
    output().split('tds    | stopped')[1],
    /Warnings\n[\s\S]*ship\.js:2:3: [\s\S]*the worker cannot use its settings/,
  );
});

t.test('a stop that takes long says what it waits for', async (t) => {
  const HANDLERS_DIR = temporaryHome(t);
  const body = 'await new Promise((resolve) => setTimeout(resolve, 4000));';
  const file = `export default { eventTypes: ['invoice.*'], async handle() { ${body} } };`;
  fs.writeFileSync(path.join(HANDLERS_DIR, 'slow.js'), file);
  const system = await startSystem(t, { settings: { HANDLERS_DIR } });
  await sendWebhook(system, '9005');
  await waitFor('the event to be in hand', async () => {
    const answer = await fetch(`${system.url}/dashboard/queue-stats`);
    return /"processing":1/.test(JSON.stringify(await answer.json()));
  });
  const exited = once(system.launcher, 'exit');
  system.launcher.kill('SIGINT');
  t.strictSame(await exited, [0, null]);
  t.match(system.output(), /tds {4}\| waiting for (api and )?worker to finish what they have begun, 15 s at most/);
});

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import t from 'tap';
import { ensurePostgres } from '../../src/db/embedded.ts';
import { waitFor } from '../helper.ts';
import { killTree } from '../process-table.ts';

type Tap = { teardown(work: () => unknown): unknown };

/** A home that is gone, with its server, when the test ends. */
function temporaryHome(t: Tap): string {
  const home = path.join(fs.mkdtempSync(path.join(tmpdir(), 'tds-embedded-')), 'home');
  t.teardown(() => {
    killServer(home);
    fs.rmSync(path.dirname(home), { recursive: true, force: true });
  });
  return home;
}

function serverPid(home: string): number {
  return Number.parseInt(fs.readFileSync(path.join(home, 'data/postmaster.pid'), 'utf8'), 10);
}

/** kill -9 of the postmaster and of all its children. */
function killServer(home: string): void {
  if (fs.existsSync(path.join(home, 'data/postmaster.pid'))) killTree(serverPid(home));
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client
    .query(sql)
    .then(({ rows }) => rows)
    .finally(() => client.end());
}

/** Another process that uses the same home until it is told to stop. */
function otherUser(home: string): ChildProcess {
  const module = path.join(import.meta.dirname, '../../src/db/embedded.ts');
  const script = `import { ensurePostgres } from ${JSON.stringify(module)};
    const postgres = await ensurePostgres(${JSON.stringify(home)});
    console.log('attached');
    process.on('SIGTERM', async () => { console.log('stopped', await postgres.stop()); process.exit(); });
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

t.test('it starts from nothing, keeps what it commits, and is found again', async (t) => {
  const home = temporaryHome(t);
  const first = await ensurePostgres(home);
  const [settings] = await query(
    first.url,
    `select current_setting('fsync') fsync, current_setting('full_page_writes') full_page_writes,
            current_setting('server_encoding') encoding, current_setting('listen_addresses') addresses`,
  );
  t.strictSame(settings, { fsync: 'on', full_page_writes: 'on', encoding: 'UTF8', addresses: '' });
  await query(first.url, 'create table kept as select 1 as n');
  t.equal(await first.stop(), true);
  t.notOk(fs.existsSync(path.join(home, 'data/postmaster.pid')));

  const second = await ensurePostgres(home);
  t.strictSame(await query(second.url, 'select n from kept'), [{ n: 1 }]);
  t.equal(await second.stop(), true);
});

t.test('its files are private', async (t) => {
  const home = temporaryHome(t);
  const postgres = await ensurePostgres(home);
  t.equal(fs.statSync(home).mode & 0o077, 0);
  await postgres.stop();
});

t.test('after kill -9 of the server it starts again with what was committed', async (t) => {
  const home = temporaryHome(t);
  const first = await ensurePostgres(home);
  await query(first.url, 'create table kept as select 1 as n');
  killServer(home);
  let lost = false;
  void first.lost.then(() => {
    lost = true;
  });
  await waitFor('the loss to be noticed', () => lost);
  const second = await ensurePostgres(home);
  t.strictSame(await query(second.url, 'select n from kept'), [{ n: 1 }]);
  await second.stop();
});

t.test('a lock file whose pid now belongs to another program is no obstacle', async (t) => {
  const home = temporaryHome(t);
  const first = await ensurePostgres(home);
  await first.stop();
  fs.writeFileSync(path.join(home, 'data/postmaster.pid'), `${process.pid}\n/proc/self/cwd\n`);
  fs.writeFileSync(path.join(home, '.s.PGSQL.5432.lock'), `${process.pid}\n`);
  const second = await ensurePostgres(home);
  t.strictSame(await query(second.url, 'select 1 as n'), [{ n: 1 }]);
  await second.stop();
});

t.test('several processes that start at once share one server; the last one out stops it', async (t) => {
  const home = temporaryHome(t);
  const users = [otherUser(home), otherUser(home), otherUser(home)];
  const outputs = users.map(() => '');
  for (const [n, user] of users.entries()) {
    t.teardown(() => user.kill('SIGKILL'));
    user.stdout?.on('data', (chunk) => {
      outputs[n] += chunk;
    });
  }
  await waitFor('all of them to be attached', () => outputs.every((output) => output.includes('attached')));
  for (const user of users) {
    user.kill('SIGTERM');
    await once(user, 'close');
  }
  t.match(outputs, [/stopped false/, /stopped false/, /stopped true/]);
});

t.test('a client of another kind keeps the server up', async (t) => {
  const home = temporaryHome(t);
  const postgres = await ensurePostgres(home);
  const client = new pg.Client({ connectionString: postgres.url });
  client.on('error', () => undefined);
  await client.connect();
  t.equal(await postgres.stop(), false);
  t.same((await client.query('select 1 as n')).rows, [{ n: 1 }]);
  await client.end();
});

t.test('a path too long for a Unix socket is no obstacle', async (t) => {
  const home = path.join(temporaryHome(t), 'x'.repeat(100));
  const postgres = await ensurePostgres(home);
  t.teardown(() => killServer(home));
  t.strictSame(await query(postgres.url, 'select 1 as n'), [{ n: 1 }]);
  t.equal(await postgres.stop(), true);
});

const root = process.getuid?.() === 0;
t.test('root may keep it below a directory that is closed to others', { skip: !root && 'not root' }, async (t) => {
  const home = temporaryHome(t);
  fs.chmodSync(path.dirname(home), 0o700);
  const postgres = await ensurePostgres(home);
  t.strictSame(await query(postgres.url, 'select 1 as n'), [{ n: 1 }]);
  t.equal(await postgres.stop(), true);
});

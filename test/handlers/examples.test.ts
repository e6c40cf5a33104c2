/** The handlers that docs/handlers.md shows, in a folder outside this repository, as a user would have them. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import t from 'tap';
import { type Teardown, type TestDatabase, testDatabase, waitFor } from '../helper.ts';
import { startApi, startWorker } from '../system.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const EXAMPLES = path.join(ROOT, 'examples/handlers');
const ORDERS = '/webhooks/zoho-books/10234695';

/** A copy of the examples with the tsconfig.json that docs/handlers.md gives. */
function copyOutside(t: Teardown): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'tds-examples-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  cpSync(EXAMPLES, directory, { recursive: true });
  writeFileSync(path.join(directory, 'tsconfig.json'), JSON.stringify({ extends: `${ROOT}/tsconfig.handlers.json` }));
  return directory;
}

async function databaseWithTables(t: Teardown): Promise<TestDatabase> {
  const database = await testDatabase(t);
  await sql.raw(readFileSync(path.join(EXAMPLES, 'tables.sql'), 'utf8')).execute(database.db);
  return database;
}

/** A shipping service that is busy at the first call. */
async function busyOnce(t: Teardown): Promise<{ url: string; calls: IncomingHttpHeaders[] }> {
  const calls: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    calls.push(request.headers);
    if (calls.length === 1) response.writeHead(429, { 'retry-after': '1' });
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`, calls };
}

t.test('the type checker covers the folder', async (t) => {
  const directory = copyOutside(t);
  // Tap gives every Node below it its own loaders, which tsc cannot bear: hence env, which takes them away.
  const command = ['-i', `PATH=${process.env.PATH}`, 'node_modules/.bin/tsc', '--noEmit', '-p', directory];
  const check = () => spawnSync('env', command, { cwd: ROOT, encoding: 'utf8' });
  t.match(check(), { status: 0, stdout: '' });
  writeFileSync(path.join(directory, 'wrong.ts'), "import { defineHandler } from 'tds-core';\ndefineHandler(5);\n");
  t.match(check().stdout, /wrong\.ts\(2,15\): error/);
});

t.test("the examples' own tests pass", async (t) => {
  const { url } = await databaseWithTables(t);
  const preload = path.join(ROOT, 'src/handlers/preload.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', preload, '--test'], {
    cwd: copyOutside(t),
    env: { PATH: process.env.PATH, DATABASE_URL: url },
    encoding: 'utf8',
  });
  t.equal(status, 0, stderr);
  t.match(stdout, /pass 3\n/);
});

t.test('a worker runs each of them on real deliveries', async (t) => {
  const { url, db } = await databaseWithTables(t);
  const shipping = await busyOnce(t);
  const settings = { DATABASE_URL: url, HANDLERS_DIR: copyOutside(t), SHIPPING_URL: shipping.url };
  const [api, worker] = await Promise.all([startApi(t, settings), startWorker(t, settings)]);
  t.match(worker.output(), /"file":"http-errors\.ts","why":"it has no default export"/);

  await post(`${api.url}${ORDERS}/invoice/created`, {
    invoice: {
      ...record('invoice_id'),
      invoice_number: 'INV-1',
      customer_name: 'Example',
      status: 'sent',
      balance: 10,
    },
  });
  await post(`${api.url}${ORDERS}/contact/created`, { contact: { ...record('contact_id'), contact_name: 'Example' } });
  await post(`${api.url}${ORDERS}/salesorder/created`, {
    salesorder: { ...record('salesorder_id'), salesorder_number: 'SO-1' },
  });

  const statuses = () => db.selectFrom('tds_sync_queue').select(['status', 'attempt_count']).execute();
  await waitFor('three completed events', async () => {
    const rows = await statuses();
    return rows.length === 3 && rows.every(({ status }) => status === 'completed');
  });
  const open = await sql`select invoice_id, customer_name from shop.open_invoices`.execute(db);
  t.same(open.rows, [{ invoice_id: '1', customer_name: 'Example' }]);
  t.same((await sql`select contact_id from shop.contact_changes`.execute(db)).rows, [{ contact_id: '1' }]);
  t.equal(shipping.calls.length, 2, 'busy once, then placed');
  t.equal(shipping.calls[0]?.['idempotency-key'], shipping.calls[1]?.['idempotency-key']);
});

function record(idField: string): Record<string, string> {
  return { [idField]: '1', created_time: '2026-01-15T10:30:00+0100', last_modified_time: '2026-01-15T10:30:00+0100' };
}

async function post(url: string, body: object): Promise<void> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (answer.status !== 202) throw new Error(`${url} answered ${answer.status}`);
}

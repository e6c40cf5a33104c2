/** `npm run demo -- --pull`: a stand-in for Zoho Books, a worker, and a database that is removed at the end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, openDatabase } from '../src/db/database.ts';
import { ensurePostgres } from '../src/db/embedded.ts';
import { prepareDatabase } from '../src/db/migrate.ts';
import type { ModuleVerdict, VerdictWord } from '../src/sync/verdict.ts';
import { readArguments } from '../src/usage.ts';
import { startRun } from '../src/workflows/start.ts';
import { Books } from '../test/zoho/books.ts';
import { StandIn } from '../test/zoho/stand-in.ts';
import { showProgress } from './progress.ts';

const RECORDS = { item: 1_700, contact: 100, salesorder: 100, invoice: 100 };
const MODULES = Object.keys(RECORDS) as (keyof typeof RECORDS)[];
const TOTAL = Object.values(RECORDS).reduce((sum, count) => sum + count, 0);
/** Of the stand-in, as Zoho limits them; more a minute than Zoho grants, so that nobody has to wait. */
const CALLS = { callsPerMinute: 1_000, callsPerDay: 10_000 };
const POLL_MS = 200;

type Result = { verdict: VerdictWord; modules: Record<string, ModuleVerdict> };
type Ended = { status: string; result: unknown; calls: number; seconds: number };

readArguments('demo', process.argv.slice(3));
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
/** What has to be ended, the last begun first. */
const closers: (() => unknown)[] = [];
try {
  await demoPull();
} catch (error) {
  showProgress('');
  console.error(stop.signal.aborted ? '\nStopped.' : (error as Error).message);
  process.exitCode = stop.signal.aborted ? 130 : 1;
} finally {
  for (const close of closers.reverse()) await close();
}

async function demoPull(): Promise<void> {
  console.log('Starting PostgreSQL, a worker and a stand-in for Zoho Books; nothing leaves this machine.');
  const books = new Books().fill(RECORDS);
  const standIn = await StandIn.start({ teardown: (work) => closers.push(work) }, { books, limits: CALLS });
  const db = await startWorker(standIn);

  console.log(`\nSyncAll: ${TOTAL} records of ${MODULES.join(', ')}, none of which the mirror has`);
  const loaded = await follow(db, standIn.organizationId, 'SyncAll');
  console.log(`  ${loaded.status} after ${loaded.seconds} s and ${loaded.calls} calls of the API`);

  const lost = changeUnnoticed(books);
  console.log(`\nMeanwhile ${lost} in Zoho Books, and no webhook told of it.`);

  console.log('\nReconcile: compares every record, repairs, and counts what the mirror holds then');
  const first = await follow(db, standIn.organizationId, 'Reconcile');
  report(first);
  console.log('\nReconcile again: nothing is left to find');
  report(await follow(db, standIn.organizationId, 'Reconcile'));
  console.log('\nDone. The database of this demo is removed now; docs/zoho-books.md says how to pull your own.');
}

async function startWorker(standIn: StandIn): Promise<Database> {
  const home = mkdtempSync(path.join(tmpdir(), 'tds-demo-'));
  closers.push(() => rmSync(home, { recursive: true, force: true }));
  const postgres = await ensurePostgres(home);
  closers.push(() => postgres.stop());
  await prepareDatabase(postgres.url, { strict: false, report: () => {} });
  const opened = openDatabase({ url: postgres.url, max: 2, applicationName: 'tds-demo' });
  closers.push(opened.close);
  const env = {
    ...{ PATH: process.env.PATH, DATABASE_URL: postgres.url, TDS_DATA_DIR: home, ...standIn.environment },
    ...{ ZOHO_CALLS_PER_MINUTE: String(CALLS.callsPerMinute), SYNC_CHANGED_CRON: 'off', RECONCILE_CRON: 'off' },
  };
  const source = (file: string) => path.join(import.meta.dirname, '../src', file);
  const worker = spawn(
    process.execPath,
    ['--import', source('launcher/exit-with-parent.ts'), source('worker/main.ts')],
    // A process group of its own: at Ctrl-C we end it, in order.
    { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'], detached: true },
  );
  worker.once('exit', (code) => code !== 0 && stop.abort(new Error(`the worker ended with ${code}`)));
  closers.push(() => end(worker));
  return opened.db;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

/** Starts a run and says on a terminal how far it is, until it has ended. */
async function follow(db: Database, organizationId: string, name: string): Promise<Ended> {
  const begun = performance.now();
  const payload = { organization_id: organizationId, modules: MODULES };
  const request = { definition: { name }, organizationId, payload };
  const { id } = await db.transaction().execute((trx) => startRun(trx, request, 'demo'));
  for (;;) {
    const run = await db.selectFrom('tds_workflows').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    const seconds = (performance.now() - begun) / 1000;
    const { records, pages, calls } = run.progress as { records: number; pages: number; calls: number };
    const ended = run.status !== 'running';
    showProgress(ended ? '' : await progress(db, { records, pages, seconds, waitsFor: run.waits_for }));
    if (run.status === 'failed') throw new Error(`${name} failed: ${JSON.stringify(run.result)}`);
    if (ended) return { status: run.status, result: run.result, calls, seconds: Math.round(seconds) };
    await sleep(POLL_MS, undefined, { signal: stop.signal });
  }
}

type Moment = { records: number; pages: number; seconds: number; waitsFor: string | null };

async function progress(db: Database, { records, pages, seconds, waitsFor }: Moment): Promise<string> {
  const quota = await db.selectFrom('tds_zoho_quota').select('day_remaining').executeTakeFirst();
  const left = records === 0 ? '?' : Math.round((seconds * Math.max(0, TOTAL - records)) / records);
  const facts = [
    `${records} of about ${TOTAL} records`,
    `${pages} pages`,
    `${quota?.day_remaining ?? CALLS.callsPerDay} calls left today`,
    `about ${left} s left`,
    ...(waitsFor === null ? [] : [`waits: ${waitsFor}`]),
  ];
  return `  ${facts.join(', ')}`;
}

/** Changes that a mirror which only listens would never hear of. */
function changeUnnoticed(books: Books): string {
  const items = books.live('item');
  for (const entry of items.slice(0, 30)) books.change(entry);
  for (const entry of items.slice(30, 35)) books.delete(entry);
  for (const entry of books.live('contact').slice(0, 10)) books.change(entry);
  for (let n = 0; n < 8; n += 1) books.create('salesorder');
  return '40 records were changed, 5 deleted and 8 made';
}

function report({ result, seconds, calls }: Ended): void {
  const { verdict, modules } = result as Result;
  for (const [name, { records, agree, repaired, missing, stale, extra }] of Object.entries(modules))
    console.log(
      `  ${name.padEnd(12)} ${agree} of ${records} agree; ${missing} missing, ${stale} stale, ${extra} extra; ${repaired} repaired`,
    );
  console.log(`  verdict: ${verdict}, after ${seconds} s and ${calls} calls of the API`);
}

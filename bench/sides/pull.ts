/** SyncAll of items by a real worker process, from the start of the run until the mirror holds every record. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRun } from '../../src/workflows/start.ts';
import { drained, type Opened, open } from '../engine.ts';
import { side } from '../side.ts';
import { median } from '../stats.ts';
import type { Memory } from './memory.ts';

export type Pulled = { perSecond: number } & Memory;

const POLL_MS = 100;
const SOURCE = path.join(import.meta.dirname, '../../src');

type Options = { url: string; items: number; zoho: Record<string, string> };

side<Options, Pulled>(async ({ url, items, zoho }) => {
  const opened = open(url, 2);
  const home = mkdtempSync(path.join(tmpdir(), 'tds-bench-pull-'));
  const worker = startWorker(url, zoho, home);
  await until(opened, 'select from tds_workers');
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(residentMb(worker.pid)), POLL_MS);
  const started = performance.now();
  await pull(opened, zoho.ZOHO_ORGANIZATION_ID as string);
  const perSecond = items / ((performance.now() - started) / 1000);
  clearInterval(timer);
  worker.kill('SIGTERM');
  await once(worker, 'exit');
  rmSync(home, { recursive: true });
  const { rows } = await opened.pool.query('select count(*)::int as n from books_records where complete');
  if (rows[0].n !== items) throw new Error(`the mirror holds ${rows[0].n} of ${items} records`);
  const half = Math.floor(samples.length / 2);
  const firstHalfMb = median(samples.slice(Math.floor(samples.length / 10), half));
  return { perSecond, maxMb: Math.max(...samples), firstHalfMb, secondHalfMb: median(samples.slice(half)) };
});

/** As `npm run worker` starts it. `home`: where it keeps the key of its tokens. */
function startWorker(url: string, zoho: Record<string, string>, home: string) {
  const env = {
    ...{ PATH: process.env.PATH, DATABASE_URL: url, TDS_DATA_DIR: home },
    ...{ ...zoho, SYNC_CHANGED_CRON: 'off', RECONCILE_CRON: 'off', WORKER_CONCURRENCY: '10' },
  };
  const preload = ['--max-semi-space-size=8', '--import', path.join(SOURCE, 'launcher/exit-with-parent.ts')];
  const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
  return spawn(process.execPath, [...preload, path.join(SOURCE, 'worker/main.ts')], { env, stdio: [...stdio] });
}

async function pull(opened: Opened, organizationId: string): Promise<void> {
  const payload = { organization_id: organizationId };
  const request = { definition: { name: 'SyncAllItems' }, organizationId, payload };
  await opened.db.transaction().execute((trx) => startRun(trx, request, 'bench'));
  await until(opened, `select from tds_workflows where status = 'completed'`);
  await drained(opened.db);
}

async function until({ pool }: Opened, found: string): Promise<void> {
  while ((await pool.query(found)).rowCount === 0) await sleep(POLL_MS);
}

function residentMb(pid: number | undefined): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1000;
}

/** `npm run bench [-- --quick] [--only drain,intake] [--save]`: TDS Core and its peers side by side, see README.md. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Bench, FULL, QUICK, type Row } from './bench.ts';
import type { Plan } from './explain.ts';
import { printTable, type Report, writeReport } from './report.ts';
import { drainRows, largeRow, mirrorRows, walRow, workersRow } from './rows/drain.ts';
import { intakeRows, oneConnectionRow } from './rows/intake.ts';
import { latencyRows } from './rows/latency.ts';
import { bulkRetryRow, exportRow, purgeRow } from './rows/operators.ts';
import { pullMemoryRow, pullRows } from './rows/pull.ts';
import { historyRows, loadTestRows, memoryRow, snapshotRow } from './rows/size.ts';
import { startPostgres, startRedis } from './servers.ts';
import { killSides } from './side.ts';

const HERE = import.meta.dirname;

let plans: Record<string, Plan> = {};

const PARTS: Record<string, (bench: Bench) => Promise<Row[]>> = {
  drain: drainRows,
  workers: async (bench) => [await workersRow(bench)],
  large: async (bench) => [await largeRow(bench)],
  mirror: mirrorRows,
  intake: intakeRows,
  one: async (bench) => [await oneConnectionRow(bench)],
  latency: latencyRows,
  wal: async (bench) => [await walRow(bench)],
  history: async (bench) => {
    const found = await historyRows(bench);
    plans = found.plans;
    return found.rows;
  },
  snapshot: async (bench) => [await snapshotRow(bench)],
  memory: async (bench) => [await memoryRow(bench)],
  load: loadTestRows,
  pull: pullRows,
  'pull-memory': async (bench) => [await pullMemoryRow(bench)],
  export: async (bench) => [await exportRow(bench)],
  purge: async (bench) => [await purgeRow(bench)],
  'bulk-retry': async (bench) => [await bulkRetryRow(bench)],
};

/** Minutes on its own: only when it is named. */
const NAMED_ONLY = ['pull-memory', 'export', 'purge', 'bulk-retry'];
const DEFAULT_PARTS = Object.keys(PARTS).filter((part) => !NAMED_ONLY.includes(part));

const HELP = `npm run bench [-- options]: TDS Core and its peers side by side, in one run

  --quick       every row with small numbers: about two minutes instead of half an hour
  --only a,b    some parts: ${DEFAULT_PARTS.join(', ')}; and ${NAMED_ONLY.join(', ')}
  --save        also writes bench/RESULTS.md
  --help        this text

Uses the server of DATABASE_URL, in databases of its own that it drops, else a PostgreSQL of its own; 10 GB of disk.`;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: DEFAULT_PARTS.join(',') },
    save: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (options.help) {
  console.log(HELP);
  process.exit(0);
}

installPeers();
const started = performance.now();
const closers: (() => Promise<void>)[] = [];
const rows: Row[] = [];
let stopping = false;
stopOnSignals();
try {
  const postgres = await startPostgres(process.env.DATABASE_URL);
  closers.push(postgres.stop);
  const redis = await startRedis();
  if (redis) closers.push(redis.stop);
  const bench: Bench = { postgres, redis, size: options.quick ? QUICK : FULL, progress };
  for (const part of options.only.split(',')) rows.push(...(await measure(bench, part)));
  progress('');
  const report = describe(bench, rows);
  const file = writeReport(report);
  if (options.save) copyFileSync(path.join(HERE, 'results/latest.md'), path.join(HERE, 'RESULTS.md'));
  printTable(rows);
  console.log(`\n${Math.round(report.seconds)} s; every figure: ${path.relative(process.cwd(), file)}`);
} catch (error) {
  // The sides were killed on purpose: the signal's handler ends this process.
  if (stopping) await new Promise(() => {});
  printTable(rows);
  throw error;
} finally {
  await close();
}

async function measure(bench: Bench, part: string): Promise<Row[]> {
  const rows = PARTS[part];
  if (!rows) throw new Error(`--only knows ${Object.keys(PARTS).join(', ')}; not ${part}`);
  return rows(bench);
}

function describe({ postgres, redis }: Bench, rows: Row[]): Report {
  return {
    date: new Date().toISOString().slice(0, 10),
    quick: options.quick,
    machine: {
      cores: os.availableParallelism(),
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
      memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    },
    versions: {
      ...{ node: process.versions.node, PostgreSQL: postgres.version, Redis: redis?.version ?? 'none' },
      ...(JSON.parse(readFileSync(path.join(HERE, 'package.json'), 'utf8')).dependencies as Record<string, string>),
    },
    settings: postgres.settings,
    seconds: (performance.now() - started) / 1000,
    rows,
    plans,
  };
}

/** The peers belong to the bench alone: installed at its first run, by their own lockfile. */
function installPeers(): void {
  if (existsSync(path.join(HERE, 'node_modules'))) return;
  const { status } = spawnSync('npm', ['ci', '--no-fund', '--no-audit'], { cwd: HERE, stdio: 'inherit' });
  if (status !== 0) throw new Error('the peers could not be installed: npm ci in bench/ failed');
}

/** One line that is written over, and nothing at all where nobody watches. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, process.stderr.columns - 1)}`);
}

async function close(): Promise<void> {
  for (const stop of closers.splice(0).reverse()) await stop();
}

function stopOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, async () => {
      stopping = true;
      progress('');
      printTable(rows);
      killSides();
      await close().catch(() => {});
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  }
}

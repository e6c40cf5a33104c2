/** A PostgreSQL server of the harness's own, which it may kill, freeze and fill up as it likes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { openDatabase } from '../../src/db/database.ts';
import { ensureData, findPrograms, type Home, IDENTITY, openHome, SPAWN_OPTIONS } from '../../src/db/embedded-files.ts';
import { migrateToLatest } from '../../src/db/migrate.ts';
import { waitFor } from '../helper.ts';
import { reap } from './reaper.ts';

export const MAX_CONNECTIONS = 120;
const TEMPLATE = 'faults_template';
const SETTINGS = [
  'listen_addresses=',
  'dynamic_shared_memory_type=mmap',
  `max_connections=${MAX_CONNECTIONS}`,
  'max_prepared_transactions=2',
  'deadlock_timeout=100ms',
  'timezone=UTC',
  'jit=off',
];

/** How pg_ctl stops a server: fast ends sessions in order, immediate is a crash of the whole server. */
export type StopMode = 'fast' | 'immediate';
const STOP_PATIENCE_MS = 10_000;
const STOP_SIGNAL = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

export class Cluster {
  readonly #home: Home;
  readonly #programs: string;
  #server: ChildProcess | undefined;

  private constructor(home: Home, programs: string) {
    this.#home = home;
    this.#programs = programs;
  }

  /** A new, empty server with a migrated template database. */
  static async create(): Promise<Cluster> {
    const home = openHome(fs.mkdtempSync(path.join(os.tmpdir(), 'tds-faults-')));
    const programs = findPrograms(home);
    ensureData(programs, home);
    const cluster = new Cluster(home, programs);
    await cluster.start();
    await cluster.#makeTemplate();
    return cluster;
  }

  /** Where a client that is not behind a proxy connects. */
  get socketPath(): string {
    return path.join(this.#home.socketDir, '.s.PGSQL.5432');
  }

  url(database: string): string {
    return `postgresql://tds@/${database}?host=${encodeURIComponent(this.#home.socketDir)}`;
  }

  async start(): Promise<void> {
    const log = fs.openSync(path.join(this.#home.dir, 'postgres.log'), 'a');
    const args = ['-D', '/proc/self/cwd', '-k', this.#home.socketDir, ...SETTINGS.flatMap((one) => ['-c', one])];
    this.#server = spawn(path.join(this.#programs, 'postgres'), args, {
      ...SPAWN_OPTIONS,
      cwd: this.#home.data,
      stdio: ['ignore', log, log],
    });
    reap(this.#server);
    fs.closeSync(log);
    await waitFor('PostgreSQL to accept connections', () => this.#ping());
  }

  async stop(mode: StopMode): Promise<void> {
    const server = this.#server;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, 'exit');
    server.kill(STOP_SIGNAL[mode]);
    // PostgreSQL 18 may wait for ever for its checkpointer when it is asked to stop while it restarts after a crash.
    // A service manager would lose its patience as well.
    const crash = setTimeout(() => server.kill('SIGQUIT'), STOP_PATIENCE_MS);
    await gone;
    clearTimeout(crash);
  }

  /** Down for `downMs`; resolves when it accepts connections again. */
  async restart(mode: StopMode, downMs: number): Promise<void> {
    await this.stop(mode);
    await sleep(downMs);
    await this.start();
  }

  /** Puts the write-ahead log elsewhere, as `initdb -X` does. The server must be down. */
  moveWal(directory: string): void {
    const wal = path.join(this.#home.data, 'pg_wal');
    const target = path.join(directory, 'pg_wal');
    fs.cpSync(wal, target, { recursive: true });
    fs.rmSync(wal, { recursive: true });
    fs.symlinkSync(target, wal);
    this.own(directory);
  }

  /** Takes the log back from where `moveWal` put it. */
  takeWalBack(): void {
    const wal = path.join(this.#home.data, 'pg_wal');
    const moved = fs.realpathSync(wal);
    fs.rmSync(wal);
    fs.cpSync(moved, wal, { recursive: true });
    this.own(wal);
  }

  /** Lets the server use a directory and all in it. */
  own(directory: string): void {
    const { uid, gid } = IDENTITY;
    if (uid === undefined || gid === undefined) return;
    const below = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' });
    for (const name of ['', ...below]) fs.chownSync(path.join(directory, name), uid, gid);
    fs.chmodSync(directory, 0o700);
  }

  /** Resolves when the server has gone down by itself. */
  async crashed(): Promise<void> {
    const server = this.#server;
    if (server && server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  }

  async createDatabase(name: string): Promise<string> {
    await this.#admin((admin) => admin.query(`create database "${name}" template ${TEMPLATE}`));
    return this.url(name);
  }

  async destroy(): Promise<void> {
    await this.stop('immediate');
    fs.rmSync(this.#home.dir, { recursive: true, force: true });
    fs.rmSync(this.#home.socketDir, { recursive: true, force: true });
  }

  async #makeTemplate(): Promise<void> {
    await this.#admin((admin) => admin.query(`create database ${TEMPLATE} template template0`));
    const { db, close } = openDatabase({ url: this.url(TEMPLATE), max: 1, applicationName: 'faults template' });
    await migrateToLatest(db).finally(close);
  }

  async #ping(): Promise<true> {
    await this.#admin((admin) => admin.query('select 1'));
    return true;
  }

  async #admin(work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
    const admin = new pg.Client({ connectionString: this.url('postgres'), connectionTimeoutMillis: 2000 });
    admin.on('error', () => undefined);
    try {
      await admin.connect();
      await work(admin);
    } finally {
      await admin.end().catch(() => undefined);
    }
  }
}

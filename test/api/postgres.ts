/** A PostgreSQL server of one test's own, reached over TCP and over a Unix socket, that may be stopped and killed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { openDatabase } from '../../src/db/database.ts';
import { ensureData, findPrograms, type Home, openHome, SPAWN_OPTIONS } from '../../src/db/embedded-files.ts';
import { migrateToLatest } from '../../src/db/migrate.ts';
import { freePort } from '../free-port.ts';
import { type Teardown, waitFor } from '../helper.ts';

/** How it goes down: in order, or at once and without a word. */
export type Ending = 'stop' | 'kill';
const SIGNALS = { stop: 'SIGINT', kill: 'SIGKILL' } as const;

export class OwnPostgres {
  readonly #home: Home;
  readonly #programs: string;
  readonly #port: number;
  readonly #settings: Record<string, string>;
  #server: ChildProcess | undefined;

  private constructor(home: Home, port: number, settings: Record<string, string>) {
    this.#settings = settings;
    this.#home = home;
    this.#programs = findPrograms(home);
    this.#port = port;
  }

  /** A new server with a migrated database, gone at teardown. */
  static async start(t: Teardown, settings: Record<string, string> = {}): Promise<OwnPostgres> {
    const home = openHome(fs.mkdtempSync(path.join(os.tmpdir(), 'tds-own-')));
    const postgres = new OwnPostgres(home, await freePort(), settings);
    t.teardown(() => postgres.#destroy());
    ensureData(postgres.#programs, postgres.#home);
    fs.appendFileSync(path.join(postgres.#home.data, 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n');
    await postgres.start();
    const { db, close } = openDatabase({ url: postgres.socketUrl, max: 1, applicationName: 'tds-test' });
    await migrateToLatest(db).finally(close);
    return postgres;
  }

  get tcpUrl(): string {
    return `postgresql://tds@127.0.0.1:${this.#port}/postgres`;
  }

  get socketUrl(): string {
    return `postgresql://tds@/postgres?host=${encodeURIComponent(this.#home.socketDir)}&port=${this.#port}`;
  }

  async start(): Promise<void> {
    await waitFor('PostgreSQL to accept connections', () => this.#isUp(), 60_000);
  }

  async end(how: Ending): Promise<void> {
    const server = this.#server;
    if (!isRunning(server)) return;
    const gone = once(server, 'exit');
    server.kill(SIGNALS[how]);
    await gone;
  }

  /** The server stands still, as on a machine that swaps or a disk that hangs: connections are neither made nor refused. */
  freeze(): void {
    this.#server?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#server?.kill('SIGCONT');
  }

  /** The server and every session of it: on a disk that hangs none of them answers. */
  freezeAll(): void {
    for (const pid of this.#processes()) process.kill(pid, 'SIGSTOP');
  }

  thawAll(): void {
    for (const pid of this.#processes()) process.kill(pid, 'SIGCONT');
  }

  #processes(): number[] {
    const { pid } = this.#server as ChildProcess & { pid: number };
    const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return [pid, ...children.split(' ').filter(Boolean).map(Number)];
  }

  /** Takes the socket's file away, as a careless clean-up of /run does; the server stays. */
  unlinkSocket(): void {
    fs.rmSync(path.join(this.#home.socketDir, `.s.PGSQL.${this.#port}`));
  }

  /** Starts it again and again: after a kill its backends may still hold the shared memory. */
  async #isUp(): Promise<boolean> {
    if (!isRunning(this.#server)) this.#server = this.#spawn();
    const client = new pg.Client({ connectionString: this.tcpUrl, connectionTimeoutMillis: 2000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return true;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  #spawn(): ChildProcess {
    const log = fs.openSync(path.join(this.#home.dir, 'postgres.log'), 'a');
    const usual = ['listen_addresses=127.0.0.1', 'dynamic_shared_memory_type=mmap', 'timezone=UTC', 'fsync=off'];
    const settings = [...usual, ...Object.entries(this.#settings).map(([name, value]) => `${name}=${value}`)];
    const args = ['-D', '/proc/self/cwd', '-k', this.#home.socketDir, '-p', String(this.#port)];
    const server = spawn(path.join(this.#programs, 'postgres'), [...args, ...settings.flatMap((one) => ['-c', one])], {
      ...SPAWN_OPTIONS,
      cwd: this.#home.data,
      stdio: ['ignore', log, log],
    });
    fs.closeSync(log);
    return server;
  }

  /** Takes every connection that the server still has; ending them gives them back. */
  async useUp(): Promise<pg.Client[]> {
    const clients: pg.Client[] = [];
    for (;;) {
      const client = new pg.Client({ connectionString: this.tcpUrl });
      client.on('error', () => {});
      try {
        await client.connect();
      } catch {
        return clients;
      }
      clients.push(client);
    }
  }

  async #destroy(): Promise<void> {
    await this.end('stop');
    fs.rmSync(this.#home.dir, { recursive: true, force: true });
  }
}

function isRunning(server: ChildProcess | undefined): server is ChildProcess {
  return server !== undefined && server.exitCode === null && server.signalCode === null;
}

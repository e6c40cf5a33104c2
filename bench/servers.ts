/** The PostgreSQL and the Redis that all sides share, with default settings; both gone afterwards. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { openDatabase } from '../src/db/database.ts';
import { ensurePostgres } from '../src/db/embedded.ts';
import { migrateToLatest } from '../src/db/migrate.ts';
import { freePort } from '../test/free-port.ts';

export type Postgres = {
  version: string;
  settings: Record<string, string>;
  /** A database of its own for one run: with our schema, or empty for a peer that makes its own. */
  create(schema: 'tds' | 'empty'): Promise<string>;
  drop(url: string): Promise<void>;
  /** Every run starts right after a checkpoint: full-page writes then cost all sides the same. */
  checkpoint(): Promise<void>;
  stop(): Promise<void>;
};

const SETTINGS = ['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size'];
const TEMPLATE = `tds_bench_${process.pid}_template`;

/** Uses the server of `url`, or starts the project's embedded one in a throw-away folder. */
export async function startPostgres(url: string | undefined): Promise<Postgres> {
  const home = url ? undefined : mkdtempSync(path.join(os.tmpdir(), 'tds-bench-'));
  const embedded = home ? await ensurePostgres(home) : undefined;
  const serverUrl = url ?? embedded?.url ?? '';
  const admin = new pg.Pool({ connectionString: serverUrl, max: 1, options: '-c client_min_messages=warning' });
  const made = new Set<string>();
  const make = async (name: string, template: string) => {
    await admin.query(`create database "${name}" template "${template}" encoding 'UTF8'`);
    made.add(name);
    return withDatabase(serverUrl, name);
  };
  const dropNamed = async (name: string) => {
    await admin.query(`drop database if exists "${name}" with (force)`);
    made.delete(name);
  };
  const template = await make(TEMPLATE, 'template0');
  await migrate(template);
  let count = 0;

  return {
    version: await show(admin, 'server_version'),
    settings: Object.fromEntries(await Promise.all(SETTINGS.map(async (name) => [name, await show(admin, name)]))),
    create(schema) {
      count += 1;
      return make(`tds_bench_${process.pid}_${count}`, schema === 'tds' ? TEMPLATE : 'template0');
    },
    drop: (database) => dropNamed(/tds_bench_\d+_\d+/.exec(database)?.[0] ?? ''),
    checkpoint: async () => {
      await admin.query('checkpoint');
    },
    async stop() {
      for (const name of made) await dropNamed(name);
      await admin.end();
      await embedded?.stop();
      if (home) rmSync(home, { recursive: true, force: true });
    },
  };
}

async function show(pool: pg.Pool, name: string): Promise<string> {
  const { rows } = await pool.query('select current_setting($1) as value', [name]);
  return rows[0].value;
}

async function migrate(url: string): Promise<void> {
  const { db, close } = openDatabase({ url, max: 1, applicationName: 'tds-bench' });
  await migrateToLatest(db).finally(close);
}

function withDatabase(url: string, name: string): string {
  return url.replace(/^(postgres(?:ql)?:\/\/[^/?]*)(\/[^?]*)?/, `$1/${name}`);
}

export type Redis = { url: string; version: string; stop(): Promise<void> };

/** A redis-server on a free loopback port, appendonly with fsync every second; undefined when there is none in PATH. */
export async function startRedis(): Promise<Redis | undefined> {
  const probe = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  if (probe.status !== 0) return undefined;
  const port = await freePort();
  const dir = mkdtempSync(path.join(os.tmpdir(), 'tds-bench-redis-'));
  const settings = { bind: '127.0.0.1', port, dir, save: '', appendonly: 'yes', appendfsync: 'everysec' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = spawn('redis-server', args, { stdio: 'ignore', detached: true });
  await listening(port, server);
  return {
    url: `redis://127.0.0.1:${port}`,
    version: /v=([\d.]+)/.exec(probe.stdout)?.[1] ?? 'unknown',
    async stop() {
      server.kill('SIGKILL');
      if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function listening(port: number, server: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200 && server.exitCode === null; tries += 1) {
    const socket = net.connect(port, '127.0.0.1');
    const connected = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (connected) return;
    await sleep(25);
  }
  throw new Error('redis-server did not start');
}

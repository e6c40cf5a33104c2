/** A redis-server of our own, on a free loopback port with its own directory: made to be killed, filled and frozen. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../free-port.ts';
import { type Teardown, waitFor } from '../helper.ts';

/** Why the tests with Redis cannot run here; false when they can. */
export function whyNoRedis(): string | false {
  const found = spawnSync('redis-server', ['--version']).status === 0;
  return found ? false : 'there is no redis-server in the PATH';
}

export class RedisServer {
  readonly url: string;
  readonly #port: number;
  readonly #dir: string;
  #process: ChildProcess | undefined;
  #client: Redis | undefined;

  private constructor(port: number, dir: string) {
    this.#port = port;
    this.#dir = dir;
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start(t: Teardown): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), await mkdtemp(path.join(os.tmpdir(), 'tds-redis-')));
    t.teardown(async () => {
      await server.kill();
      await rm(server.#dir, { recursive: true });
    });
    await server.restart();
    return server;
  }

  /** Starts it, with the snapshot it finds in its directory. */
  async restart(): Promise<void> {
    const options = ['--port', String(this.#port), '--bind', '127.0.0.1', '--dir', this.#dir, '--save', ''];
    this.#process = spawn('redis-server', options, { stdio: 'ignore' });
    this.#client = new Redis(this.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
    this.#client.on('error', () => {});
    await waitFor('redis-server', async () => (await this.command('ping')) === 'PONG');
  }

  /** kill -9, and what was in memory is gone. */
  async kill(): Promise<void> {
    this.#client?.disconnect();
    const victim = this.#process;
    if (!victim || victim.exitCode !== null || victim.signalCode !== null) return;
    const exited = once(victim, 'exit');
    victim.kill('SIGKILL');
    await exited;
  }

  /** Stops the process without ending it: connections stay open and nobody answers. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Writes a snapshot; `restoreOld` brings it back later. */
  async snapshot(): Promise<void> {
    await this.command('save');
    await copyFile(path.join(this.#dir, 'dump.rdb'), path.join(this.#dir, 'old.rdb'));
  }

  async restoreOld(): Promise<void> {
    await copyFile(path.join(this.#dir, 'old.rdb'), path.join(this.#dir, 'dump.rdb'));
  }

  async command(...words: string[]): Promise<unknown> {
    const [name = '', ...rest] = words;
    return this.#client?.call(name, ...rest);
  }

  /** What a command is refused with; undefined when it is not. */
  async refusal(...words: string[]): Promise<string | undefined> {
    return this.command(...words).then(
      () => undefined,
      (error: Error) => error.message,
    );
  }

  /** One number out of INFO. */
  async info(section: string, field: string): Promise<number> {
    const text = String(await this.command('info', section));
    return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(text)?.[1]);
  }

  /** Announcements that nobody has received yet. */
  async announced(): Promise<number> {
    return Number(await this.command('zcard', 'tds:events:prioritized'));
  }

  /** The keys of announcements whose id matches. */
  async keys(pattern: string): Promise<string[]> {
    return (await this.command('keys', `tds:events:${pattern}`)) as string[];
  }

  /** Announcements that workers have received since this Redis is up. */
  async received(): Promise<number> {
    const events = (await this.command('xrange', 'tds:events:events', '-', '+')) as [string, string[]][];
    return events.filter(([, fields]) => fields[1] === 'completed').length;
  }
}

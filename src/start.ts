/** `npm start`: everything in one terminal. PostgreSQL (unless DATABASE_URL names one), the schema, API and worker. */
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, childEnvironment, EXIT_CONFIG, processConfig, runByNpm } from './config.ts';
import { type EmbeddedPostgres, ensurePostgres } from './db/embedded.ts';
import { prepareDatabase } from './db/migrate.ts';
import { banner, baseUrl } from './launcher/banner.ts';
import { renderLine } from './launcher/render.ts';
import { Supervised } from './launcher/supervise.ts';

/** Longer than the children of a former start take to notice that it is gone. */
const PORT_PATIENCE_MS = 15_000;
const POLL_MS = 100;

/** Whoever tries the product out finds the handler that `npm run demo` tells of. */
const DEMO_HANDLERS = path.resolve(import.meta.dirname, '../demo/handlers');

function showsDemo({ handlersDir, nodeEnv }: Config): boolean {
  return handlersDir === undefined && nodeEnv === 'development';
}

class Launcher {
  readonly #config: Config;
  #postgres: EmbeddedPostgres | undefined;
  #children: Supervised[] = [];
  #stopping: Promise<void> | undefined;

  constructor(config: Config) {
    this.#config = config;
  }

  async start(): Promise<void> {
    const config = { ...this.#config, port: await freePort(this.#config) };
    const databaseUrl = config.databaseUrl ?? (await this.#startPostgres());
    await prepareDatabase(databaseUrl, { strict: config.nodeEnv === 'production', report: say });
    if (this.#stopping) return;
    // Compiled once, loaded ever after: the API needs 17 MB less and starts sooner.
    const NODE_COMPILE_CACHE = path.resolve(config.dataDir, 'compile-cache');
    const settings = { DATABASE_URL: databaseUrl, PORT: String(config.port), NODE_COMPILE_CACHE };
    this.#startChildren(showsDemo(config) ? { ...settings, HANDLERS_DIR: DEMO_HANDLERS } : settings);
    await this.#untilHealthy(`${baseUrl(config)}/health`);
    if (!this.#stopping) process.stdout.write(`\n${banner(config, this.#postgres?.url)}\n\n`);
  }

  /** Children first, PostgreSQL last. Every call answers the same promise, so repeated signals are harmless. */
  stop(reason: string): Promise<void> {
    this.#stopping ??= this.#stopAll(reason);
    return this.#stopping;
  }

  async #stopAll(reason: string): Promise<void> {
    say(`stopping (${reason})`);
    await Promise.all(this.#children.map((child) => child.stop(this.#config.drainSeconds * 1000)));
    const down = (await this.#postgres?.stop()) ?? true;
    say(down ? 'stopped' : 'stopped; PostgreSQL stays up, because somebody else still uses it');
  }

  async #startPostgres(): Promise<string> {
    const home = path.resolve(this.#config.dataDir);
    say(`starting PostgreSQL in ${home}`);
    this.#postgres = await ensurePostgres(home);
    void this.#restoreWhenLost(home);
    return this.#postgres.url;
  }

  /** API and worker wait for their database by themselves; somebody has to bring it back. */
  async #restoreWhenLost(home: string): Promise<void> {
    for (;;) {
      await this.#postgres?.lost;
      if (this.#stopping) return;
      say('PostgreSQL is gone; starting it again');
      this.#postgres = await ensurePostgres(home);
    }
  }

  #startChildren(settings: Record<string, string>): void {
    const env = childEnvironment(settings);
    const onUnusable = () => void this.stop('wrong configuration').then(() => process.exit(EXIT_CONFIG));
    const scripts = { api: 'api/main.ts', worker: 'worker/main.ts' };
    this.#children = Object.entries(scripts).map(
      ([name, script]) => new Supervised({ name, script, env, print, onUnusable }),
    );
    for (const child of this.#children) child.start();
  }

  async #untilHealthy(url: string): Promise<void> {
    while (!this.#stopping) {
      const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
      if (answer?.ok) return;
      await sleep(POLL_MS);
    }
  }
}

function print(name: string, line: string): void {
  for (const part of renderLine(line).split('\n')) process.stdout.write(`${name.padEnd(6)} | ${part}\n`);
}

function say(sentence: string): void {
  print('tds', sentence);
}

/**
 * The port to use: ours, once a former start's API has left it, or any free one for 0. Throws when another program
 * keeps it.
 */
async function freePort({ host, port }: Config): Promise<number> {
  const giveUpAt = Date.now() + PORT_PATIENCE_MS;
  for (let told = false; ; await sleep(POLL_MS)) {
    const free = await tryPort(host, port);
    if (free !== undefined) return free;
    if (Date.now() > giveUpAt) throw new Error(`port ${port} is in use: stop the program that uses it, or set PORT`);
    if (!told) say(`waiting for port ${port}, which is still in use`);
    told = true;
  }
}

async function tryPort(host: string, port: number): Promise<number | undefined> {
  const server = net.createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    const { port: bound } = server.address() as net.AddressInfo;
    server.close();
    await once(server, 'close');
    return bound;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
}

/** Signals, a closed terminal, and an npm that was killed (we are then handed to another parent) all mean: stop. */
function stopOnRequest(launcher: Launcher): void {
  const stop = (reason: string) => void launcher.stop(reason).then(() => process.exit(0));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  if (!runByNpm()) return;
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && stop('npm is gone'), 1000).unref();
}

const launcher = new Launcher(processConfig());
process.stdout.on('error', () => undefined); // `npm start | head`: nobody reads on, but the processes have work to do
stopOnRequest(launcher);
try {
  await launcher.start();
} catch (error) {
  say(`start failed: ${(error as Error).message}`);
  await launcher.stop('start failed');
  process.exit(1);
}

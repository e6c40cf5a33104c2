import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, childEnvironment, EXIT_CONFIG } from '../config.ts';
import { type EmbeddedPostgres, ensurePostgres } from '../db/embedded.ts';
import { prepareDatabase } from '../db/migrate.ts';
import { banner } from './banner.ts';
import { openDataDir } from './data-dir.ts';
import { freePort } from './port.ts';
import { Supervised } from './supervise.ts';
import type { Terminal } from './terminal.ts';

const LONG_MS = 2000;
const SLOW_START_MS = 15_000;
const RESTORE_AGAIN_MS = 1000;
/** A process is killed this long after the time it was given to drain. */
const BEYOND_DRAIN_SECONDS = 10;

/** Loaded when no handlers are configured: `npm run demo` sends an event that the one in it fails. */
const DEMO_HANDLERS = path.resolve(import.meta.dirname, '../../demo/handlers');

/** Everything that `npm start` runs, as one thing that starts and stops. */
export class Launcher {
  readonly #config: Config;
  readonly #terminal: Terminal;
  readonly #say: (sentence: string) => void;
  #postgres: EmbeddedPostgres | undefined;
  #children: Supervised[] = [];
  #stopping: Promise<void> | undefined;
  /** What a stop waits for at this moment. */
  #waitsFor = '';

  constructor(config: Config, terminal: Terminal) {
    this.#config = withDemoHandlers(config);
    this.#terminal = terminal;
    this.#say = (sentence) => terminal.say(sentence);
  }

  /** Resolves when API and worker have started, or a stop has begun. Throws what keeps them from starting. */
  async start(): Promise<void> {
    const config = { ...this.#config, port: await freePort(this.#config, this.#say) };
    const databaseUrl = config.databaseUrl ?? (await this.#startPostgres(openDataDir(config.dataDir)));
    const { nodeEnv, auditRetentionDays } = config;
    await prepareDatabase(databaseUrl, {
      ...{ strict: nodeEnv === 'production', auditRetentionDays, report: this.#say },
      warn: (warning) => this.#terminal.warn(warning),
    });
    if (this.#stopping) return;
    this.#startChildren({
      DATABASE_URL: this.#postgres?.appUrl ?? databaseUrl,
      PORT: String(config.port),
      // Compiled once, loaded ever after: the API needs 17 MB less and starts sooner.
      NODE_COMPILE_CACHE: path.resolve(config.dataDir, 'compile-cache'),
      ...(config.handlersDir ? { HANDLERS_DIR: config.handlersDir } : {}),
    });
    await this.#untilReady();
    if (this.#stopping) return;
    this.#terminal.show(banner(config, this.#postgres?.url));
    this.#terminal.repeatWarnings();
  }

  /** Children first, PostgreSQL last. Every call answers the same promise, so repeated signals are harmless. */
  stop(reason: string): Promise<void> {
    this.#stopping ??= this.#stopAll(reason);
    return this.#stopping;
  }

  async #stopAll(reason: string): Promise<void> {
    this.#say(`stopping (${reason})`);
    const explaining = setInterval(() => this.#say(`waiting for ${this.#waitsFor}`), LONG_MS);
    const running = this.#children.filter((child) => child.running).map(({ name }) => name);
    const seconds = this.#config.drainSeconds + BEYOND_DRAIN_SECONDS;
    this.#waitsFor = `${running.join(' and ')} to finish what they have begun, ${seconds} s at most`;
    await Promise.all(this.#children.map((child) => child.stop(seconds * 1000)));
    this.#waitsFor = 'PostgreSQL to write everything to disk';
    const down = (await this.#postgres?.stop()) ?? true;
    clearInterval(explaining);
    this.#say(down ? 'stopped' : 'stopped; PostgreSQL stays up, because somebody else still uses it');
  }

  async #startPostgres(home: string): Promise<string> {
    this.#say(`starting PostgreSQL in ${home}`);
    this.#postgres = await ensurePostgres(home);
    void this.#restoreWhenLost(home);
    return this.#postgres.url;
  }

  /** API and worker wait for their database by themselves; somebody has to bring it back. */
  async #restoreWhenLost(home: string): Promise<void> {
    for (;;) {
      await this.#postgres?.lost;
      if (this.#stopping) return;
      this.#say('PostgreSQL is gone; starting it again');
      try {
        this.#postgres = await ensurePostgres(home);
      } catch (error) {
        this.#terminal.warn((error as Error).message);
        await sleep(RESTORE_AGAIN_MS);
      }
    }
  }

  #startChildren(settings: Record<string, string>): void {
    const env = childEnvironment(settings);
    const print = (name: string, line: string) => this.#terminal.print(name, line);
    const scripts = { api: 'api/main.ts', worker: 'worker/main.ts' };
    this.#children = Object.entries(scripts).map(
      ([name, script]) => new Supervised({ name, script, env, print, onUnusable: () => void this.#giveUp(name) }),
    );
    for (const child of this.#children) child.start();
  }

  /** Starting a process again does not help when it cannot use its settings. Ends with what it said about them. */
  async #giveUp(name: string): Promise<void> {
    await this.stop('wrong configuration');
    this.#terminal.repeatWarnings();
    this.#say(`the ${name} cannot use its settings: put right what it names above`);
    process.exit(EXIT_CONFIG);
  }

  async #untilReady(): Promise<void> {
    const late = () => this.#children.filter((child) => !child.ready).map(({ name }) => name);
    const explain = () => this.#say(`not ready yet: ${late().join(' and ')} has not started; see its lines above`);
    const explaining = setInterval(explain, SLOW_START_MS);
    while (!this.#stopping && late().length > 0) await sleep(50);
    clearInterval(explaining);
  }
}

function withDemoHandlers(config: Config): Config {
  const shown = config.handlersDir === undefined && config.nodeEnv === 'development';
  return shown ? { ...config, handlersDir: DEMO_HANDLERS } : config;
}

/** Everything one fault happens to: a database, the API, workers under a supervisor, and a sender. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../free-port.ts';
import { waitFor } from '../helper.ts';
import { RedisServer } from '../queue/redis-server.ts';
import { EFFECT_TABLES } from './behaviour.ts';
import { Child } from './child.ts';
import type { Cluster } from './cluster.ts';
import { FaultyProxy } from './proxy.ts';
import { Random } from './random.ts';
import { SECRET, Sender } from './sender.ts';

export type Env = Record<string, string>;
export type WorldOptions = {
  apis?: number;
  workers?: number;
  workerEnv?: Env;
  apiEnv?: Env;
  /** Workers dispatch through a Redis of the world's own. */
  redis?: boolean;
  /** API and workers reach PostgreSQL through `world.proxy`. */
  proxied?: boolean;
};

export const LEASE_SECONDS = 2;
/** Lease, sweep and the heartbeat's jitter: after so long a dead worker's events are in other hands. */
export const RESCUE_MS = (LEASE_SECONDS + 2) * 1000;

const HANDLERS_DIR = path.join(import.meta.dirname, 'handlers');
const RESTART_MS = 100;
/** Three processes on two idle cores. */
const USUAL_START_MS = 2500;
let worlds = 0;

export class World {
  readonly cluster: Cluster;
  /** The harness's own view: never through the proxy. */
  readonly db: pg.Pool;
  readonly proxy: FaultyProxy;
  readonly sender: Sender;
  /** Every worker there ever was, the living among them. */
  readonly workers: Child[] = [];
  readonly apis: Child[] = [];
  random = new Random(1);
  redis: RedisServer | undefined;
  readonly #teardowns: (() => unknown)[] = [];
  /** How long a continuous fault lasts. */
  harmMs = 15_000;
  /** What else is worth telling about a round. */
  readonly notes: string[] = [];
  /** Operators' acts that were accepted: each must be in the audit log. */
  operatorActs = 0;
  /** Acts whose answer was lost: each may be in the audit log. */
  unansweredActs = 0;
  /** For the API that replaces the present one when it dies, and for no other. */
  nextApiEnv: Env = {};
  #slowness = 1;
  readonly #options: WorldOptions;
  readonly #database: string;
  readonly #ports: number[];
  /** Deliveries may name files in it and wait for them: see `gate`. */
  readonly #gates = fs.mkdtempSync(path.join(os.tmpdir(), 'tds-gates-'));
  #closing = false;

  private constructor(cluster: Cluster, database: string, proxy: FaultyProxy, ports: number[], options: WorldOptions) {
    this.cluster = cluster;
    this.#database = database;
    this.proxy = proxy;
    this.#ports = ports;
    this.#options = options;
    this.sender = new Sender(ports);
    this.db = new pg.Pool({ connectionString: cluster.url(database), max: 3, application_name: 'faults observer' });
    this.db.on('error', () => undefined);
  }

  static async open(cluster: Cluster, options: WorldOptions = {}): Promise<World> {
    worlds += 1;
    const database = `faults_${worlds}`;
    await cluster.createDatabase(database);
    const ports = await Promise.all(Array.from({ length: options.apis ?? 1 }, freePort));
    const world = new World(cluster, database, await FaultyProxy.open(cluster.socketPath), ports, options);
    if (options.redis) world.redis = await RedisServer.start({ teardown: (work) => world.#teardowns.push(work) });
    await world.db.query(EFFECT_TABLES);
    return world;
  }

  /** Starts API and workers, and waits until they say that they are ready. */
  async start(): Promise<void> {
    const since = performance.now();
    const workers = Array.from({ length: this.#options.workers ?? 2 }, () => this.startWorker());
    const apis = this.#ports.map((port) => this.#startApi(port, {}));
    await Promise.all([
      ...apis.map((api) => api.said('listening')),
      ...workers.map((worker) => worker.said('worker started')),
    ]);
    this.#slowness = Math.max(1, (performance.now() - since) / USUAL_START_MS);
  }

  /** A time limit that holds on an idle machine, lengthened as this one is busy with other things. */
  patience(ms: number): number {
    return ms * this.#slowness;
  }

  /** `env` holds for this one process, not for the one that replaces it. */
  startWorker(env: Env = {}): Child {
    const script = 'src/worker/main.ts';
    const worker = new Child(`worker ${this.workers.length + 1}`, script, { ...this.#workerEnv(), ...env });
    this.workers.push(worker);
    void this.#replaceWhenDead(worker, () => this.startWorker());
    return worker;
  }

  #startApi(port: number, env: Env): Child {
    const api = new Child(`api ${this.apis.length + 1}`, 'src/api/main.ts', { ...this.#apiEnv(port), ...env });
    this.apis.push(api);
    void this.#replaceWhenDead(api, () => {
      const once = this.nextApiEnv;
      this.nextApiEnv = {};
      return this.#startApi(port, once);
    });
    return api;
  }

  /** The file that deliveries wait for until `openGate` is called. */
  gate(name = 'gate'): string {
    return path.join(this.#gates, name);
  }

  openGate(name = 'gate'): void {
    fs.writeFileSync(this.gate(name), '');
  }

  /** The database, not through the proxy. */
  get url(): string {
    return this.cluster.url(this.#database);
  }

  get aliveWorkers(): Child[] {
    return this.workers.filter((worker) => worker.running);
  }

  get aliveApis(): Child[] {
    return this.apis.filter((api) => api.running);
  }

  get api(): Child {
    const api = this.aliveApis.at(-1);
    if (!api) throw new Error('no API is running');
    return api;
  }

  /** How often any worker, dead or alive, logged this message. */
  said(message: string): number {
    return this.workers.reduce((sum, worker) => sum + worker.count(message), 0);
  }

  /** The living worker that holds this delivery's event, once one does. */
  async holderOf(key: string): Promise<Child> {
    return waitFor(`a worker to hold ${key}`, async () => {
      const { rows } = await this.db.query<{ pid: number }>(
        `select w.pid from tds_sync_queue q join tds_queue_leases l using (lease) join tds_workers w using (worker_id)
         join tds_inbox_payloads p on p.event_id = q.id where p.payload->>'fault_key' = $1`,
        [key],
      );
      return this.aliveWorkers.find((worker) => worker.pid === rows[0]?.pid);
    });
  }

  /** The state of what has not ended, and the last words of every process: for the message of a failure. */
  async whatIsLeft(): Promise<string> {
    const { rows } = await this.db.query(`
      select q.status, q.suspect, w.due, q.run_at <= now() as is_time, c.lease is not null as claimed, q.attempt_count,
        q.release_count, q.error_message, count(*)::int as events
      from tds_sync_queue q left join tds_queue_waiting w on w.id = q.id
      left join tds_queue_claims c on c.entity_key = q.entity_key
      where q.status in ('pending', 'processing', 'retry') group by 1, 2, 3, 4, 5, 6, 7, 8 limit 20`);
    const words = [...this.workers, ...this.apis].map(({ name, running, lines }) =>
      [`${name} ${running ? 'runs' : 'ended'}`, ...lines.slice(-5)].join('\n  '),
    );
    return [...rows.map((row) => JSON.stringify(row)), ...words].join('\n');
  }

  /** What has happened here so far, for the table of a run. */
  async tally(): Promise<{ rescued: number; staleRejected: number }> {
    const rescued = await this.number(
      `select count(*) from tds_sync_logs where status = 'crashed' or error_tag = 'ProcessCrash'`,
    );
    return { rescued, staleRejected: this.said('stale write rejected: the lease was lost') };
  }

  /** One number, from SQL. */
  async number(text: string, values: unknown[] = []): Promise<number> {
    const { rows } = await this.db.query<{ n: string }>({ text, values });
    return Number(Object.values(rows[0] ?? {})[0] ?? 0);
  }

  /** Server processes that serve our API or workers. */
  async backends(applicationName = 'tds-core-%'): Promise<number[]> {
    const { rows } = await this.db.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and application_name like $1 order by pid`,
      [applicationName],
    );
    return rows.map((row) => row.pid);
  }

  /** A request as an operator; counts it when it is an act that was accepted, or whose answer was lost. */
  async operator(method: 'GET' | 'POST', url: string): Promise<Response> {
    const address = `http://127.0.0.1:${this.random.pick(this.#ports as [number, ...number[]])}${url}`;
    try {
      const response = await fetch(address, { method, signal: AbortSignal.timeout(10_000) });
      if (method === 'POST' && response.ok) this.operatorActs += 1;
      if (method === 'POST' && response.status >= 500) this.unansweredActs += 1;
      return response;
    } catch (error) {
      if (method === 'POST') this.unansweredActs += 1;
      throw error;
    }
  }

  /** Of a worker's sessions with the database, those in the middle of a transaction. */
  async openTransactions(worker: Child): Promise<number> {
    return this.number(
      `select count(*) from pg_stat_activity a join tds_workers w on a.application_name like '%' || w.worker_id
       where w.pid = $1 and a.state = 'idle in transaction'`,
      [worker.pid],
    );
  }

  /** How many events the workers have in hand. */
  async inHand(): Promise<number> {
    return this.number(`select count(*) from tds_sync_queue where status = 'processing'`);
  }

  async close(): Promise<void> {
    this.#closing = true;
    for (const child of [...this.workers, ...this.apis]) child.killTree();
    await Promise.all([...this.workers, ...this.apis].map((child) => child.exited));
    for (const teardown of this.#teardowns) await teardown();
    fs.rmSync(this.#gates, { recursive: true });
    this.sender.close();
    await this.proxy.close();
    await this.db.end().catch(() => undefined);
  }

  /** Like systemd's Restart=on-failure. */
  async #replaceWhenDead(child: Child, replace: () => Child): Promise<void> {
    const { code } = await child.exited;
    if (code === 0 || this.#closing) return;
    await sleep(RESTART_MS);
    if (!this.#closing) replace();
  }

  #workerEnv(): Env {
    return {
      ...this.#commonEnv(),
      HANDLERS_DIR,
      LEASE_SECONDS: String(LEASE_SECONDS),
      WORKER_CONCURRENCY: '10',
      RETRY_BASE_SECONDS: '0.2',
      RETRY_MAX_SECONDS: '1',
      ...this.#options.workerEnv,
    };
  }

  #apiEnv(port: number): Env {
    const own = { HOST: '127.0.0.1', PORT: String(port), ZOHO_WEBHOOK_SECRET: SECRET };
    return { ...this.#commonEnv(), ...own, ...this.#options.apiEnv };
  }

  #commonEnv(): Env {
    const proxied = `postgresql://tds@127.0.0.1:${this.proxy.port}/${this.#database}`;
    const redis: Env = this.redis ? { QUEUE_DRIVER: 'bullmq', REDIS_URL: this.redis.url } : {};
    return { DATABASE_URL: this.#options.proxied ? proxied : this.url, LOG_LEVEL: 'info', ...redis };
  }
}

/** What happens to PostgreSQL: F14 to F17, F29, F31, F33, F34, F41. */
import assert from 'node:assert/strict';
import pg from 'pg';
import { waitFor } from '../../helper.ts';
import { delivery, type Fault, inSets, lasting, mixedLoad } from '../fault.ts';
import type { Answer, Entry } from '../sender.ts';
import type { World } from '../world.ts';

const READY_AGAIN_MS = 5000;
const REFUSED_WITHIN_MS = 2000;

const terminated: Fault = {
  id: 'F14',
  title: 'pg_terminate_backend on our sessions',
  load: (world) => mixedLoad(world, 100),
  spreadMs: 3000,
  async inject(world) {
    for (const until = performance.now() + 3000; performance.now() < until; ) {
      await lasting(world.random.int(200, 600));
      const [victim] = shuffled(world, await world.backends());
      if (victim) await world.db.query('select pg_terminate_backend($1)', [victim]);
    }
  },
  proof: noProcessDied,
};

const backendKilled: Fault = {
  id: 'F15',
  title: 'kill -9 one backend: the server resets all sessions',
  async inject(world) {
    await lasting(world.random.int(200, 700));
    const [victim] = shuffled(world, await world.backends());
    assert.ok(victim, 'a backend to kill');
    process.kill(victim, 'SIGKILL');
    await waitFor('the server to come back', async () => (await world.backends('%')).length > 0);
  },
  proof: noProcessDied,
};

const restarted: Fault = {
  id: 'F16',
  title: 'PostgreSQL restarts, fast and immediate',
  load: (world) => mixedLoad(world, 120),
  spreadMs: 6000,
  async inject(world) {
    for (let restarts = 2; restarts > 0; restarts -= 1) {
      await lasting(world.random.int(300, 900));
      // Right after an answer: what was promised a moment ago must be on the disk.
      await world.sender.insist(world.sender.enter(delivery()));
      await world.cluster.restart(world.random.pick(['fast', 'immediate']), world.random.int(0, 1500));
    }
    await readyAgain(world);
  },
  proof: noProcessDied,
};

const downAtStart: Fault = {
  id: 'F17',
  title: 'PostgreSQL is down when the services start',
  async inject(world) {
    await world.cluster.stop('fast');
    const [worker] = world.aliveWorkers;
    await Promise.all([worker?.end('SIGKILL'), world.api.end('SIGKILL')]);
    await waitFor('the new API', () => world.apis.some((api) => api.running && api.count('listening') > 0));
    await lasting(1500);
    await world.cluster.start();
    const newest = world.workers.at(-1);
    await newest?.said('worker started', world.patience(READY_AGAIN_MS));
    await readyAgain(world);
  },
  proof: (world) => {
    assert.ok(world.said('the connection of the heartbeat was lost, reconnecting') > 0, 'I6: the database was down');
  },
};

const connectionsUsedUp: Fault = {
  id: 'F29',
  title: 'no connections left',
  async inject(world) {
    await world.operator('GET', '/dashboard/queue-stats');
    const hoard: pg.Client[] = [];
    try {
      const refusal = () => refusalOf(world, hoard);
      const { entry, answer } = await waitFor('intake to be refused', refusal, world.patience(15_000));
      assert.ok(answer.status === 503 && answer.retryAfter, `refused, and told when to come again: ${answer.status}`);
      assert.ok(answer.ms < world.patience(REFUSED_WITHIN_MS), `refused after ${Math.round(answer.ms)} ms`);
      const operators = await world.operator('GET', '/dashboard/queue-stats');
      assert.equal(operators.status, 200, "operators' own connections still answer");
      await Promise.all(hoard.splice(0).map((client) => client.end()));
      await world.sender.insist(entry);
    } finally {
      await Promise.all(hoard.map((client) => client.end()));
    }
    await readyAgain(world);
  },
  proof: noProcessDied,
};

const pinnedHorizon: Fault = {
  id: 'F31',
  title: 'a long transaction pins the horizon',
  load: (world) => mixedLoad(world, 300),
  async inject(world) {
    const pin = await open(world);
    await pin.query('begin isolation level repeatable read');
    await pin.query('select count(*) from tds_sync_queue');
    const done = () => world.number(`select count(*) from tds_sync_queue where status = 'completed'`);
    await waitFor('claims to go on behind the pinned horizon', async () => (await done()) === 300);
    await pin.query('rollback');
    await pin.end();
  },
  proof: noProcessDied,
};

const locked: Fault = {
  id: 'F33',
  title: 'the queue table is locked',
  spreadMs: 2500,
  async inject(world) {
    const holder = await open(world);
    await holder.query('begin');
    await holder.query('lock table tds_sync_queue in access exclusive mode');
    await lasting(7000);
    await holder.query('rollback');
    await holder.end();
    await readyAgain(world);
  },
  proof(world) {
    const slowest = Math.max(...world.sender.answers.map((answer) => answer.ms));
    assert.ok(slowest > 1000, 'I6: intake met the lock');
    assert.ok(slowest < world.patience(16_000), `nobody hung: ${Math.round(slowest)} ms`);
    noProcessDied(world);
  },
};

const readOnly: Fault = {
  id: 'F34',
  title: 'a read-only window, as in a failover',
  spreadMs: 3000,
  async inject(world) {
    await lasting(300);
    await setReadOnly(world, 'on');
    await lasting(2000);
    await setReadOnly(world, 'off');
    await readyAgain(world);
  },
  async proof(world) {
    const refused = world.sender.answers.some((answer) => answer.status === 503 || answer.ms > 1000);
    assert.ok(refused, 'I6: intake met the window');
    const charged = await world.number('select count(*) from tds_sync_queue where attempt_count > 1');
    assert.equal(charged, 0, 'no attempt was burned');
    noProcessDied(world);
  },
};

const listenerKilled: Fault = {
  id: 'F41',
  title: 'the LISTEN connection alone is killed',
  world: { workers: 1 },
  async inject(world) {
    await lasting(500);
    const [listener] = await listeners(world);
    assert.ok(listener, 'a listener to kill');
    await world.db.query('select pg_terminate_backend($1)', [listener]);
    const another = async () => (await listeners(world)).some((pid) => pid !== listener);
    await waitFor('a new listener', another, world.patience(READY_AGAIN_MS));
    const since = performance.now();
    await world.sender.sendAll([delivery({ key: `after ${world.random.seed}` })], 0, world.random);
    const done = () =>
      world.number(`select count(*) from fault_log where effect_key = $1`, [`after ${world.random.seed}`]);
    await waitFor('the next event to be done', async () => (await done()) === 1);
    assert.ok(performance.now() - since < world.patience(1500), 'latency is back below the poll interval');
  },
  proof: (world) => {
    assert.ok(world.said('the connection of the heartbeat was lost, reconnecting') > 0, 'I6: the connection was cut');
  },
};

export const postgres: Fault[] = [
  terminated,
  backendKilled,
  restarted,
  downAtStart,
  connectionsUsedUp,
  pinnedHorizon,
  locked,
  readOnly,
  listenerKilled,
  inSets(terminated),
  inSets(restarted),
];

/** The sessions of heartbeats: nobody else listens, or renews leases. */
async function listeners(world: World): Promise<number[]> {
  const { rows } = await world.db.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and application_name like 'tds-core-worker %'
       and (query = 'listen tds_queue' or query like '%insert into tds_workers%')`,
  );
  return rows.map((row) => row.pid);
}

/** After the outage is over, an event sent now is done within 5 s. */
async function readyAgain(world: World): Promise<void> {
  const since = performance.now();
  const probe = delivery({ key: `probe ${world.random.next()}` });
  await world.sender.sendAll([probe], 0, world.random);
  const done = () => world.number('select count(*) from fault_log where effect_key = $1', [probe.key]);
  await waitFor('an event sent after the outage', async () => (await done()) === 1);
  const ms = Math.round(performance.now() - since);
  assert.ok(ms < world.patience(READY_AGAIN_MS), `ready again after ${ms} ms`);
}

function noProcessDied(world: World): void {
  const dead = [...world.workers, ...world.apis].filter((child) => !child.running);
  assert.deepEqual(
    dead.map((child) => child.lines.at(-1)),
    [],
    'no process died of it',
  );
}

function shuffled<T>(world: World, all: T[]): T[] {
  return all
    .map((one) => ({ one, at: world.random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

async function open(world: World): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: world.url, application_name: 'faults nuisance' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** False when a connection that somebody else gave up went to the inbox, not to us: then the delivery was stored. */
async function refusalOf(world: World, hoard: pg.Client[]): Promise<{ entry: Entry; answer: Answer } | false> {
  await lockOut(world, 'tds-core-api inbox', hoard);
  const entry = world.sender.enter(delivery());
  const answer = await world.sender.attempt(entry);
  return answer.status !== 202 && { entry, answer };
}

/** Takes all connections there are, until this application has none. */
async function lockOut(world: World, applicationName: string, taken: pg.Client[]): Promise<void> {
  await waitFor(`${applicationName} to be locked out`, async () => {
    for (const backend of await world.backends(applicationName)) {
      await world.db.query('select pg_terminate_backend($1)', [backend]);
    }
    await takeFree(world, taken);
    return (await world.backends(applicationName)).length === 0;
  });
}

async function takeFree(world: World, taken: pg.Client[]): Promise<void> {
  try {
    for (;;) taken.push(await open(world));
  } catch {
    // None is left: that is the aim.
  }
}

/** For sessions that are open as well as for new ones. */
async function setReadOnly(world: World, value: 'on' | 'off'): Promise<void> {
  await world.db.query(`set default_transaction_read_only = off`);
  const admin = await open(world);
  await admin.query('set default_transaction_read_only = off');
  await admin.query(`alter system set default_transaction_read_only = ${value}`);
  await admin.query('select pg_reload_conf()');
  await admin.end();
}

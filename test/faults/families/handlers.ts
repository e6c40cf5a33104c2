/** Handlers and payloads that misbehave: F06 to F08, F21 to F25, F30, F45. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { waitFor } from '../../helper.ts';
import { delivery, drained, type Fault, gated, gatedKey, lasting, mixedLoad } from '../fault.ts';
import type { Delivery } from '../sender.ts';
import { LEASE_SECONDS, type World } from '../world.ts';

const loopBlocked: Fault = {
  id: 'F06',
  title: 'event loop blocked until the lease is lost, no watchdog',
  world: { workerEnv: { LEASE_SECONDS: '1', WATCHDOG_SECONDS: '0' } },
  load: (world) => [...mixedLoad(world), gated(world, { blockGate: world.gate() })],
  async inject(world) {
    const blocked = await world.holderOf(gatedKey(world));
    await waitFor('its events to be taken back', async () => (await world.tally()).rescued > 0);
    world.openGate();
    const noticed = () => blocked.count('stale write rejected: the lease was lost') > 0;
    await waitFor('the blocked worker to be told', noticed);
  },
  async proof(world) {
    const { staleRejected, rescued } = await world.tally();
    assert.ok(staleRejected + rescued > 0, 'I6: no lease was lost');
  },
};

const neverReturns: Fault = {
  id: 'F07',
  title: 'handler never returns',
  load: (world) => [
    ...mixedLoad(world),
    delivery({ key: key(world, 'hangs'), module: 'expense', fault: { hang: true } }),
  ],
  inject: async () => undefined,
  async proof(world) {
    const end = await endOf(world, 'hangs');
    assert.equal(`${end.status} ${end.error_tag} ${end.attempt_count}`, 'dead_letter TimeoutError 3');
  },
};

const ignoresAbort: Fault = {
  id: 'F08',
  title: 'handlers ignore their time-out',
  world: { workers: 1, workerEnv: { WORKER_CONCURRENCY: '3', MAX_ATTEMPTS: '1' } },
  load: () => [1, 2, 3].map(() => delivery({ module: 'expense', fault: { churn: true } })),
  async inject(world) {
    const [leaky] = world.workers;
    const exit = await leaky?.exited;
    assert.equal(exit?.code, 1, 'the process gives way to a clean one');
  },
  async proof(world) {
    await waitFor('a worker in its place', () => world.workers.length === 2);
  },
};

const poison: Fault = {
  id: 'F21',
  title: 'poison pill crashes the process',
  load: (world) => [...mixedLoad(world, 20), delivery({ key: key(world, 'pill'), fault: { die: 'kill' } })],
  inject: async () => undefined,
  async proof(world) {
    const end = await endOf(world, 'pill');
    assert.equal(`${end.status} ${end.error_tag} ${end.attempt_count}`, 'dead_letter ProcessCrash 3');
  },
};

const memoryPill: Fault = {
  id: 'F21',
  title: 'poison pill fills the heap',
  world: { workers: 1, workerEnv: { NODE_OPTIONS: '--max-old-space-size=64' } },
  load: (world) => [...mixedLoad(world, 10), delivery({ key: key(world, 'pill'), fault: { die: 'memory' } })],
  inject: async () => undefined,
  proof: poison.proof,
};

const INNOCENTS = 99;
/** WORKER_CONCURRENCY of the world. */
const SLOTS = 10;

const pillAmongInnocents: Fault = {
  id: 'F22',
  title: '1 pill among 99 innocents, concurrency 10',
  world: { workers: 1 },
  load: (world) => [delivery({ key: key(world, 'pill'), fault: { gate: world.gate('pill'), die: 'kill' } })],
  async inject(world) {
    await world.holderOf(key(world, 'pill'));
    const innocent = () =>
      delivery({ key: `${key(world, 'innocent')} ${world.random.next()}`, fault: { gate: world.gate() } });
    await world.sender.sendAll(Array.from({ length: INNOCENTS }, innocent), 0, world.random);
    await waitFor('the pill to share its worker with innocents', async () => (await world.inHand()) >= SLOTS);
    world.openGate('pill');
    await waitFor('all of them to be taken back', async () => (await world.tally()).rescued >= SLOTS);
    world.openGate();
  },
  async proof(world) {
    await poison.proof(world);
    const innocents = await world.number(
      `select count(*) from tds_sync_queue q join tds_inbox_payloads p on p.event_id = q.id
       where q.status = 'completed' and q.attempt_count = 1 and starts_with(p.payload->>'fault_key', $1)`,
      [key(world, 'innocent')],
    );
    assert.equal(innocents, INNOCENTS, 'none of the innocents was charged for the crash');
  },
};

/** Bodies that break parsers, printers and databases rather than handlers. */
const NASTY = [
  '{"invoice":{"invoice_id":"n1","total":1e130000}}',
  '{"invoice":{"invoice_id":"n2","notes":"\\u0000 and \\ud800"}}',
  `{"invoice":{"invoice_id":"n3","deep":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`,
  '{"invoice":{"invoice_id":"n4","__proto__":{"toJSON":1},"toJSON":"x"}}',
  '{"invoice":{"invoice_id":"n5","notes":"\ud83d',
  `{"invoice":{"invoice_id":"n6","notes":"${'\\"'.repeat(100_000)}"}}`,
];

const parsePill: Fault = {
  id: 'F23',
  title: 'payloads that break parsing and printing',
  async inject(world) {
    for (const body of NASTY) {
      const entry = { delivery: delivery(), body, answers: [], eventIds: new Set<string>() };
      world.sender.ledger.push(entry);
      const { status } = await world.sender.attempt(entry);
      assert.equal(status, 202, `accepted or quarantined: ${body.slice(0, 40)}`);
    }
    await drained(world);
  },
  async proof(world) {
    const kept = await world.number(
      'select count(*) from tds_inbox_payloads where payload is null and raw_body is null',
    );
    assert.equal(kept, 0, 'the bytes of what could not be read are kept');
    assert.equal(world.workers.filter((worker) => !worker.running).length, 0, 'no worker crashed');
  },
};

const deadlock: Fault = {
  id: 'F24',
  title: 'handlers deadlock on two rows',
  // Four, of which no more than three can lose: nobody loses five times in a row, which would be charged.
  load: (world) =>
    [1, 2, 1, 2].map((row) => delivery({ fault: { lock: { rows: [row, 3 - row], traces: world.gate('row') } } })),
  spreadMs: 20,
  inject: async () => undefined,
  async proof(world) {
    const deadlocks = () => world.number('select deadlocks from pg_stat_database where datname = current_database()');
    // Sessions hand their statistics in when they have been idle for a while.
    await waitFor('I6: a deadlock to be counted', async () => (await deadlocks()) > 0);
    await nobodyCharged(world);
  },
};

const serialization: Fault = {
  id: 'F25',
  title: 'handlers meet serialization failures',
  load: () => Array.from({ length: 12 }, () => delivery({ fault: { serialization: true } })),
  inject: async () => undefined,
  async proof(world) {
    const calls = await world.number('select last_value from fault_calls');
    assert.ok(calls > 12, 'I6: no serialization failure happened');
    await nobodyCharged(world);
  },
};

const poolExhausted: Fault = {
  id: 'F30',
  title: 'slow handlers hold a connection in every slot, for longer than a lease',
  world: { workerEnv: { DATABASE_POOL_SIZE: '2', DATABASE_MAX_OVERFLOW: '0', WORKER_CONCURRENCY: '8' } },
  // Two workers with eight slots each, and as many events that each claims ahead: then every slot has one.
  load: (world) => Array.from({ length: 32 }, () => delivery({ fault: { holdGate: world.gate() } })),
  spreadMs: 200,
  async inject(world) {
    const open = async () => Promise.all(world.aliveWorkers.map((worker) => world.openTransactions(worker)));
    await waitFor('every slot to hold one', async () => (await open()).every((held) => held === 8));
    await lasting(2 * LEASE_SECONDS * 1000);
    world.openGate();
  },
  async proof(world) {
    const { rescued } = await world.tally();
    assert.equal(rescued, 0, 'leases stayed alive on their own connection');
    await nobodyCharged(world);
  },
};

const upstreamDown: Fault = {
  id: 'F45',
  title: 'upstream slow, 429 and garbage',
  load: () => [],
  async inject(world) {
    const upstream = await openUpstream();
    try {
      // Only the slow one meets the handler that has but half a second.
      const modules = { '429': 'invoice', '503': 'invoice', reset: 'invoice', slow: 'expense' };
      const calls: Delivery[] = Object.entries(modules).map(([path, module]) =>
        delivery({ key: key(world, path), module, fault: { fetch: `${upstream.url}/${path}` } }),
      );
      await world.sender.sendAll(calls, 100, world.random);
      await drained(world);
    } finally {
      upstream.close();
    }
  },
  async proof(world) {
    const limited = await endOf(world, '429');
    assert.equal(
      `${limited.status} ${limited.attempt_count}`,
      'completed 1',
      'waiting for a rate limit costs no attempt',
    );
    const tags = { '503': 'ServiceUnavailableError', reset: 'NetworkError', slow: 'TimeoutError' };
    for (const [path, tag] of Object.entries(tags)) {
      const end = await endOf(world, path);
      assert.equal(`${end.status} ${end.error_tag}`, `dead_letter ${tag}`, `${path} tells why`);
    }
  },
};

export const handlers: Fault[] = [
  loopBlocked,
  neverReturns,
  ignoresAbort,
  poison,
  memoryPill,
  pillAmongInnocents,
  parsePill,
  deadlock,
  serialization,
  poolExhausted,
  upstreamDown,
];

const key = (world: World, name: string) => `${name} ${world.random.seed}`;

async function endOf(
  world: World,
  name: string,
): Promise<{ status: string; error_tag: string | null; attempt_count: number }> {
  const { rows } = await world.db.query(
    `select q.status, q.error_tag, q.attempt_count from tds_sync_queue q join tds_inbox_payloads p on p.event_id = q.id
     where p.payload->>'fault_key' = $1`,
    [key(world, name)],
  );
  return rows[0];
}

async function nobodyCharged(world: World): Promise<void> {
  const charged = await world.number('select count(*) from tds_sync_queue where attempt_count > 1');
  assert.equal(charged, 0, 'nobody was charged an attempt for it');
}

/** A stand-in for another system's API: 429 once and then fine, 503, a reset, or no answer. */
async function openUpstream(): Promise<{ url: string; close(): void }> {
  let limited = 0;
  const server = http.createServer(async (request, response) => {
    if (request.url === '/reset') return request.socket.destroy();
    if (request.url === '/slow') await lasting(3000);
    if (request.url === '/429' && limited++ > 0) return response.end('{}');
    const status = request.url === '/429' ? 429 : 503;
    response.writeHead(status, status === 429 ? { 'retry-after': '1' } : {}).end('<html>garbage');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

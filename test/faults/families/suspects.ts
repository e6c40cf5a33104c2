/** What a crash leaves behind runs at the side, first one event alone and then more, while everything else goes on: F52, F53. */
import assert from 'node:assert/strict';
import { waitFor } from '../../helper.ts';
import { delivery, type Fault, inSets, mixedLoad } from '../fault.ts';
import type { Delivery } from '../sender.ts';
import type { World } from '../world.ts';

/** Two lanes with a full set each. */
const FLOOD = 2000;
const NEWCOMERS = 50;

const flood: Fault = inSets({
  id: 'F52',
  title: 'one kill -9 with 2,000 events in hand, new events go on',
  world: { workers: 1, workerEnv: { LEASE_SECONDS: '5' } },
  load: () => [],
  async inject(world) {
    const events = Array.from({ length: FLOOD }, () => delivery({ fault: { gate: world.gate() } }));
    await claimTogether(world, events);
    await world.workers[0]?.end('SIGKILL');
    await waitFor('all of them to be suspects', async () => (await suspects(world)) === FLOOD);
    // The first suspect waits for the gate, and so all do. What arrives now must not.
    const newcomers = Array.from({ length: NEWCOMERS }, () => delivery({ key: `new ${world.random.next()}` }));
    await world.sender.sendAll(newcomers, 0, world.random);
    const done = `select count(*) from fault_log where effect_key = any ($1)`;
    const keys = newcomers.map(({ key }) => key);
    await waitFor('new events to be done', async () => (await world.number(done, [keys])) === NEWCOMERS);
    assert.ok((await suspects(world)) >= FLOOD - 1, 'I6: the suspects are still there');
    world.openGate();
  },
  async proof(world) {
    const charged = await world.number('select count(*) from tds_sync_queue where attempt_count <> 1');
    assert.equal(charged, 0, 'nobody was charged for the crash');
  },
});

const INNOCENTS = 30;

const blocks: Fault = {
  id: 'F53',
  title: 'poison pill blocks the event loop for ever',
  // The watchdog takes half a lease to notice, and needs a moment to say who it was.
  world: { workerEnv: { LEASE_SECONDS: '10' } },
  load: (world) => [...mixedLoad(world, INNOCENTS), delivery({ key: pillKey(world), fault: { block: true } })],
  inject: async () => undefined,
  async proof(world) {
    const { rows } = await world.db.query<{ id: string; end: string }>(
      `select q.id, concat_ws(' ', q.status, q.error_tag, q.attempt_count) as end from tds_sync_queue q
       join tds_inbox_payloads p on p.event_id = q.id where p.payload->>'fault_key' = $1`,
      [pillKey(world)],
    );
    assert.equal(rows[0]?.end, 'dead_letter ProcessCrash 3');
    const named = await world.number('select count(*) from tds_workers where culprit = $1', [rows[0]?.id]);
    assert.ok(named > 0, 'the watchdog named it');
    const innocents = await world.number(
      `select count(*) from tds_sync_queue where status = 'completed' and attempt_count = 1`,
    );
    assert.equal(innocents, INNOCENTS, 'the others were done, and not charged');
  },
};

/** Of a set the watchdog cannot know which event it was: all are suspects, and the pill is found among them. */
const blocksInSet: Fault = inSets({
  ...blocks,
  load: () => [],
  async inject(world) {
    const innocents = Array.from({ length: INNOCENTS }, () => delivery());
    const pill = delivery({ key: pillKey(world), fault: { block: true } });
    await claimTogether(world, innocents.toSpliced(INNOCENTS / 2, 0, pill));
  },
  async proof(world) {
    const { rows } = await world.db.query<{ end: string }>(
      `select concat_ws(' ', status, error_tag, attempt_count, count(*)) as end from tds_sync_queue
       group by status, error_tag, attempt_count order by status`,
    );
    const ends = rows.map(({ end }) => end);
    assert.deepEqual(ends, [`completed 1 ${INNOCENTS}`, 'dead_letter ProcessCrash 3 1']);
    const { rescued } = await world.tally();
    assert.ok(rescued >= INNOCENTS, `I6: innocents were in the same set: ${rescued} rescued`);
  },
});

export const suspectFaults: Fault[] = [flood, blocks, blocksInSet];

const pillKey = (world: World) => `pill ${world.random.seed}`;

async function suspects(world: World): Promise<number> {
  return world.number('select count(*) from tds_sync_queue where suspect');
}

/** Has everything wait until all is there, so that full sets take it. */
async function claimTogether(world: World, events: Delivery[]): Promise<void> {
  await world.db.query('update tds_queue_state set paused = true');
  await world.sender.sendAll(events, 0, world.random);
  await world.db.query('update tds_queue_state set paused = false');
  await waitFor('all of them to be in hand', async () => (await world.inHand()) === events.length);
}

/** Random operators and workers, also several at once, against a model of what may become of a dead letter. */
import fc from 'fast-check';
import t from 'tap';
import { editDeadLetter } from '../../src/inbox/edit.ts';
import { retry } from '../../src/inbox/retry.ts';
import { countDiscarded, deadLetters } from '../../src/monitor/dead-letters.ts';
import { discard, restore } from '../../src/queue/discard.ts';
import { queueStats } from '../../src/queue/inspect.ts';
import { purge } from '../../src/queue/purge.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { testDatabase } from '../helper.ts';
import { disagreements } from './agreement.ts';
import { ALL_OF_EACH, arrive, Claimer, SUCCESS } from './engine.ts';

const { db, pool } = await testDatabase(t);
const SEED = 20_261_129;
const FAILED: Outcome = { kind: 'failed', tag: 'TimeoutError', message: 'again', permanent: true };

const DEEDS = ['retry', 'edit', 'discard', 'restore'] as const;
type Deed = (typeof DEEDS)[number];
type State = 'open' | 'waiting' | 'completed' | 'discarded' | 'edited' | 'purged';
type Item = { id: string; entity: string; state: State; retries: number; record: string };

/** From which state a deed leads where; anything else is refused and changes nothing. */
const LEADS: Record<Deed, Partial<Record<State, State>>> = {
  retry: { open: 'waiting' },
  edit: { open: 'edited' },
  discard: { open: 'discarded' },
  restore: { discarded: 'open' },
};

const nth = fc.nat(20);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom(...DEEDS), nth }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('work' as const), succeed: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('at once' as const),
      nth,
      deeds: fc.array(fc.constantFrom(...DEEDS), { minLength: 2, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'a month passes' } as const) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

t.test('a dead letter does what its model does', async (t) => {
  const met = new Map<string, number>();
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
    const items = await deadOnes(4);
    for (const each of steps) {
      await act(items, each);
      await compare(items, JSON.stringify(each));
      for (const { state } of items) met.set(state, (met.get(state) ?? 0) + 1);
    }
  });
  await fc.assert(property, { seed: SEED, numRuns: 30 });
  for (const state of ['open', 'waiting', 'completed', 'discarded', 'edited', 'purged'])
    t.ok(met.get(state), `${state} was met`);
  // tds_rebuild() also counts the webhooks of the last day, of which the model has purged many.
  t.same((await pool.query('select * from tds_rebuild_events()')).rows, [], 'a rebuild finds nothing to mend');
});

/** Two events of each of two entities, dead. */
async function deadOnes(count: number): Promise<Item[]> {
  await pool.query(`truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_sync_logs,
    tds_event_edits, tds_processing_totals`);
  const entities = Array.from({ length: count }, (_, n) => `46000000000000${n % 2}`);
  const ids = await arrive(pool, entities);
  await pool.query(
    `update tds_sync_queue set status = 'dead_letter', attempt_count = 3, error_tag = 'TimeoutError', error_message = 'slow'`,
  );
  return ids.map((id, n) => {
    const entity = entities[n] as string;
    return { id, entity, state: 'open', retries: 0, record: JSON.stringify({ invoice_id: entity }) };
  });
}

async function act(items: Item[], each: Step): Promise<void> {
  if (each.kind === 'work') return work(items, each.succeed);
  if (each.kind === 'a month passes') return aMonthPasses(items);
  const item = items[each.nth % items.length] as Item;
  if (each.kind === 'at once') return atOnce(items, item, each.deeds);
  const expected = LEADS[each.kind][item.state] !== undefined;
  const { done, event } = await perform(item, each.kind);
  if (done !== expected) throw new Error(`${each.kind} of one that is ${item.state}: ${done}`);
  if (done) follow(items, item, each.kind, event);
}

/** However they interleave, they did what some order of them does: each success leads on from the one before. */
async function atOnce(items: Item[], item: Item, deeds: Deed[]): Promise<void> {
  const answers = await Promise.all(deeds.map(async (deed) => ({ deed, ...(await perform(item, deed)) })));
  const done = answers.filter((answer) => answer.done);
  const order = orderOf(done, item.state);
  if (!order) throw new Error(`${done.map(({ deed }) => deed)} of one that was ${item.state} all succeeded`);
  for (const { deed, event } of order) follow(items, item, deed, event);
}

type Done = { deed: Deed; event?: Item };

/** An order in which each deed leads on from the one before; undefined when there is none. */
function orderOf(deeds: Done[], from: State): Done[] | undefined {
  if (deeds.length === 0) return [];
  for (const first of deeds) {
    const to = LEADS[first.deed][from];
    const rest =
      to &&
      orderOf(
        deeds.filter((deed) => deed !== first),
        to,
      );
    if (rest) return [first, ...rest];
  }
  return undefined;
}

function follow(items: Item[], item: Item, deed: Deed, event: Item | undefined): void {
  item.state = LEADS[deed][item.state] as State;
  if (deed === 'retry') item.retries += 1;
  if (event) items.push(event);
}

let edits = 0;

/** `event`: the new one of an edit. */
async function perform(item: Item, deed: Deed): Promise<{ done: boolean; event?: Item }> {
  const { id, entity } = item;
  return db.transaction().execute(async (trx) => {
    switch (deed) {
      case 'retry':
        return { done: (await retry(trx, id, '1')).outcome === 'retried' };
      case 'discard':
        return { done: (await discard(trx, id, 'ann', 'garbage')).outcome === 'discarded' };
      case 'restore':
        return { done: (await restore(trx, id)).outcome === 'restored' };
      case 'edit': {
        edits += 1;
        const record = { invoice_id: entity, total: edits };
        const result = await editDeadLetter(trx, id, { record, author: 'ann', reason: 'wrong' }, '1');
        if (result.outcome !== 'edited') return { done: false };
        const event: Item = {
          id: result.eventId,
          entity,
          state: 'waiting',
          retries: 0,
          record: JSON.stringify(record),
        };
        return { done: true, event };
      }
    }
  });
}

async function work(items: Item[], succeed: boolean): Promise<void> {
  const claimer = new Claimer(pool);
  const events = await claimer.claim({ ...ALL_OF_EACH, limit: 100 });
  if (events.length > 0) await claimer.end(events, succeed ? SUCCESS : FAILED);
  for (const item of items) if (item.state === 'waiting') item.state = succeed ? 'completed' : 'open';
}

/** What an edit was made of stays with the event that came of it. */
async function aMonthPasses(items: Item[]): Promise<void> {
  await pool.query(
    `update tds_dead_letter_queue set discarded_at = discarded_at - interval '31 days',
       resolved_at = resolved_at - interval '31 days' where discarded_at is not null`,
  );
  await purge(pool, 30);
  for (const item of items) if (item.state === 'discarded') item.state = 'purged';
}

async function compare(items: Item[], after: string): Promise<void> {
  const { rows } = await pool.query<{ id: string; state: State; retries: number; record: string }>(
    `select i.event_id as id, p.payload::text as record, coalesce(d.retry_count, 0) as retries,
       case when e.event_id is not null then 'edited' when d.discarded_at is not null then 'discarded'
         when q.status = 'dead_letter' then 'open' when q.status = 'pending' then 'waiting' else q.status end as state
     from tds_inbox_events i join tds_inbox_payloads p using (event_id) left join tds_sync_queue q on q.id = i.event_id
       left join tds_dead_letter_queue d on d.id = i.event_id left join tds_event_edits e on e.original_id = i.event_id`,
  );
  // The inbox row of a purged one stays for as long as any other does.
  const gone = items.filter(({ state }) => state === 'purged').map(({ id }) => id);
  const is = rows.filter(({ id }) => !gone.includes(id)).map(told);
  const should = items.filter(({ state }) => state !== 'purged').map(told);
  if (is.sort().join('\n') !== should.sort().join('\n'))
    throw new Error(`after ${after}:\n${is.join('\n')}\nbut the model says\n${should.join('\n')}`);
  await comparesLists(items, after);
}

function told({ id, state, retries, record }: Pick<Item, 'id' | 'state' | 'retries' | 'record'>): string {
  return `${id} ${state} ${retries} ${record}`;
}

async function comparesLists(items: Item[], after: string): Promise<void> {
  const listed = async (state: 'open' | 'discarded') =>
    JSON.parse((await deadLetters(db, state, { limit: 200 })).json).map(({ id }: { id: string }) => id);
  const of = (state: State) => items.filter((item) => item.state === state).map(({ id }) => id);
  const lists = [(await listed('open')).sort(), (await listed('discarded')).sort()];
  if (JSON.stringify(lists) !== JSON.stringify([of('open').sort(), of('discarded').sort()]))
    throw new Error(`after ${after} the lists are ${JSON.stringify(lists)}`);
  const { dead_letter } = await queueStats(db);
  if (dead_letter !== of('open').length || (await countDiscarded(db)) !== of('discarded').length)
    throw new Error(`after ${after} ${dead_letter} are counted`);
  const wrong = await disagreements(pool);
  if (wrong.length > 0) throw new Error(`after ${after}: ${JSON.stringify(wrong)}`);
}

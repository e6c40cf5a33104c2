import type { Pool } from 'pg';
import t from 'tap';
import { type Arrival, Inbox, InboxUnavailable } from '../../src/inbox/store.ts';
import { silentLog, testDatabase } from '../helper.ts';
import { deliver } from '../inbox/deliver.ts';
import { arrive, Claimer } from './engine.ts';

const { pool } = await testDatabase(t);
t.beforeEach(() => pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads'));

function arrival(record: Record<string, unknown>): Arrival {
  const body = Buffer.from(JSON.stringify({ invoice: record }));
  const parsed = { kind: 'delivery', delivery: deliver(body) } as const;
  return { parsed, body, contentType: 'application/json', method: 'POST', path: '/', userAgent: null, ip: null };
}

/** A pool whose statements are executed, and whose first answers are lost with the connection. */
function losingAnswers(count: number, before: () => Promise<unknown> = async () => undefined): Pool {
  let left = count;
  const query = async (config: never) => {
    const answer = await pool.query(config);
    if (left === 0) return answer;
    left -= 1;
    await before();
    throw new Error('Connection terminated unexpectedly');
  };
  return { query } as unknown as Pool;
}

async function rows(): Promise<number> {
  const { rows } = await pool.query('select count(*)::int as n from tds_inbox_events');
  return rows[0].n;
}

const VERSIONED = { invoice_id: '1', last_modified_time: '2026-01-01T00:00:00Z' };
const UNVERSIONED = { invoice_id: '1', note: 'no version' };

for (const [what, record] of Object.entries({ versioned: VERSIONED, unversioned: UNVERSIONED })) {
  t.test(`${what}: a delivery is stored once when the answer to its commit is lost`, async (t) => {
    const { duplicate } = await new Inbox(losingAnswers(2), silentLog).accept(arrival(record));
    t.equal(duplicate, false, 'our own first try is no repeat');
    t.equal(await rows(), 1);
  });
}

t.test('the answer to a commit is lost, and the event is done before we try again', async (t) => {
  const work = async () => {
    const claimer = new Claimer(pool);
    await claimer.end(await claimer.claim());
  };
  const { eventId } = await new Inbox(losingAnswers(1, work), silentLog).accept(arrival(UNVERSIONED));
  const { rows: stored } = await pool.query('select event_id, processed from tds_inbox_events');
  t.strictSame(stored, [{ event_id: eventId, processed: true }]);
});

t.test('a hundred repeats at once are one event', async (t) => {
  const inbox = new Inbox(pool, silentLog);
  const answers = await Promise.all(Array.from({ length: 100 }, () => inbox.accept(arrival(VERSIONED))));
  t.equal(new Set(answers.map((answer) => answer.eventId)).size, 1);
  t.equal(answers.filter((answer) => !answer.duplicate).length, 1);
  t.equal(await rows(), 1);
});

t.test('a database that stays away means unavailable, within the time given', async (t) => {
  const inbox = new Inbox(losingAnswers(1000), silentLog, { timeoutMs: 300 });
  await t.rejects(inbox.accept(arrival(VERSIONED)), InboxUnavailable);
});

t.test('memory is bounded: beyond it deliveries are refused at once', async (t) => {
  const stalled = { query: () => new Promise(() => undefined) } as unknown as Pool;
  const inbox = new Inbox(stalled, silentLog, { maxWaiting: 3, concurrency: 1 });
  const kept = [1, 2, 3, 4].map(() => inbox.accept(arrival(VERSIONED)));
  for (const one of kept) one.catch(() => undefined);
  await t.rejects(inbox.accept(arrival(VERSIONED)), InboxUnavailable);
});

t.test('order of arrival is the order of acceptance', async (t) => {
  const ids = await arrive(pool, ['a', 'b', 'c']);
  const { rows: queued } = await pool.query('select id from tds_sync_queue order by arrival');
  t.strictSame(
    queued.map((row) => row.id),
    ids,
  );
});

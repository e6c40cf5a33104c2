import type pg from 'pg';
import t from 'tap';
import { parseDelivery } from '../../src/inbox/parse.ts';
import { type Arrival, Inbox } from '../../src/inbox/store.ts';
import { silentLog, testDatabase } from '../helper.ts';

const { pool } = await testDatabase(t);

/** What the API hands to the inbox for this body. */
function arrival(text: string): Arrival {
  const body = Buffer.from(text);
  const request = { body, contentType: 'application/json', method: 'POST' };
  const parsed = parseDelivery({ ...request, defaultOrganization: 'default' });
  if (parsed.kind === 'check') throw new Error('a check call never reaches the inbox');
  return { ...request, parsed, path: '/webhooks/zoho-books', userAgent: null, ip: null };
}

async function inboxSize(entityId: string): Promise<number> {
  const { rowCount } = await pool.query('select from tds_inbox_events where entity_id = $1', [entityId]);
  return rowCount ?? 0;
}

t.test('of repeats that arrive at once through two APIs one is stored, and all get its id', async (t) => {
  const delivery = arrival('{"invoice":{"invoice_id":"1","last_modified_time":"2026-06-09T09:47:43-0400"}}');
  const inboxes = [new Inbox(pool, silentLog), new Inbox(pool, silentLog)];
  const accepted = await Promise.all(Array.from({ length: 40 }, (_, n) => (inboxes[n % 2] as Inbox).accept(delivery)));
  t.equal(new Set(accepted.map(({ eventId }) => eventId)).size, 1);
  t.equal(accepted.filter(({ duplicate }) => !duplicate).length, 1);
  t.equal(await inboxSize('1'), 1);
});

t.test('a repeat whose first is done in the middle of its storing is a new event', async (t) => {
  const delivery = arrival('{"invoice":{"invoice_id":"2","status":"sent"}}');
  const first = await new Inbox(pool, silentLog).accept(delivery);
  const finishing = {
    async query(statement: pg.QueryConfig) {
      // What a worker does when it completes an event without a version of its own.
      if (/find stored/.test(statement.name ?? '')) await pool.query(`update tds_inbox_events set dedupe_key = null`);
      return pool.query(statement);
    },
  } as pg.Pool;
  const second = await new Inbox(finishing, silentLog).accept(delivery);
  t.equal(second.duplicate, false);
  t.not(second.eventId, first.eventId);
  t.equal(await inboxSize('2'), 2);
});

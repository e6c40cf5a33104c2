import { sql } from 'kysely';
import t from 'tap';
import { retry } from '../../src/inbox/retry.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer, statusOf } from '../queue/engine.ts';

const { db, pool } = await testDatabase(t);
const RECORD = { invoice_id: '77', total: 12.5, last_modified_time: '2026-01-01T10:00:00+0100' };
const QUARANTINED = {
  ...{ quarantineReason: 'an older release did not understand it', record: null },
  ...{ entityId: null, eventType: 'unknown.received', module: null, action: null },
};

t.beforeEach(() => pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue'));

async function quarantine(body: string, path = '/webhooks/zoho-books/60000000001/invoice/updated'): Promise<string> {
  const [id = ''] = await arrive(pool, ['unknown'], { ...QUARANTINED, rawBody: Buffer.from(body), request: { path } });
  return id;
}

const retried = (id: string) => db.transaction().execute((trx) => retry(trx, id, 'default'));

t.test('a quarantined delivery that is understood today becomes the event that it should have been', async (t) => {
  const id = await quarantine(JSON.stringify({ invoice: RECORD }));
  t.strictSame(await retried(id), { outcome: 'retried', queueId: id });
  const [event] = await new Claimer(pool).claim({ withPayload: true });
  t.match(event, {
    id,
    eventType: 'invoice.updated',
    entityId: '77',
    organizationId: '60000000001',
    quarantineReason: null,
  });
  t.match(event?.payload, RECORD);
  const { rows } = await sql<{ same: boolean }>`
    select entity_key = tds_entity_key('60000000001', 'invoice', '77', id) as same from tds_sync_queue`.execute(db);
  t.strictSame(rows, [{ same: true }], 'it stands in the line of its entity');
});

t.test('it runs before the later events of its entity, as it arrived before them', async (t) => {
  const id = await quarantine(JSON.stringify({ invoice: RECORD }));
  await arrive(pool, ['77']);
  await retried(id);
  t.equal((await new Claimer(pool).claim())[0]?.id, id);
});

t.test('one that is still not understood comes back as the dead letter it was', async (t) => {
  const id = await quarantine('{broken');
  t.match(await retried(id), { outcome: 'retried' });
  const claimer = new Claimer(pool);
  const [event] = await claimer.claim();
  t.equal(event?.quarantineReason, QUARANTINED.quarantineReason, 'the worker refuses it with the reason');
  const reason = { kind: 'failed', tag: 'ValidationError', message: 'still unreadable', permanent: true } as const;
  await claimer.end(event ? [event] : [], reason);
  t.equal(await statusOf(pool, id), 'dead_letter 1');
  const { rows } = await pool.query('select kind, retry_count, resolved_at from tds_dead_letter_queue where id = $1', [
    id,
  ]);
  t.strictSame(rows, [{ kind: 'quarantined', retry_count: 1, resolved_at: null }]);
});

t.test('of two retries at once one succeeds', async (t) => {
  const id = await quarantine(JSON.stringify({ invoice: RECORD }));
  const outcomes = await Promise.all([retried(id), retried(id), retried(id)]);
  t.strictSame(outcomes.map(({ outcome }) => outcome).sort(), ['conflict', 'conflict', 'retried']);
});

import fc from 'fast-check';
import { sql } from 'kysely';
import t from 'tap';
import { isAmongNewest, type NewestAsked } from '../../src/monitor/newest.ts';
import { recentEvents, type StatusFilter } from '../../src/monitor/recent-events.ts';
import type { Status } from '../../src/queue/vocabulary.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer } from '../queue/engine.ts';

const { db, pool } = await testDatabase(t);
const SEED = 20261129;
const STATUSES: Status[] = ['pending', 'retry', 'processing', 'completed', 'dead_letter'];
/** Few times, so that many events share theirs. */
const TIMES = 5;

type Row = { id: string; at: string; requeued: string | null; status: Status; came_by: string | null };
type Event = { status: Status; minute: number; pulled: boolean; requeued: number | null };

const minute = fc.nat(TIMES - 1);
const event = fc.record({
  ...{ status: fc.constantFrom(...STATUSES), minute, pulled: fc.boolean() },
  requeued: fc.option(minute, { freq: 2 }),
});
const asked = fc.record({
  statuses: fc.subarray(STATUSES, { minLength: 1 }),
  limit: fc.integer({ min: 1, max: 8 }),
  after: fc.option(fc.nat(60), { nil: undefined }),
  ...{ webhooks: fc.boolean(), neverRequeued: fc.boolean() },
  searched: fc.constantFrom(1, 4, 1000),
});

t.test('a page of the newest is what sorting the whole table gives, whatever stands where', async (t) => {
  let found = 0;
  const property = fc.asyncProperty(
    fc.array(event, { minLength: 1, maxLength: 60, size: 'max' }),
    fc.array(asked, { minLength: 10, maxLength: 20, size: 'max' }),
    async (events, questions) => {
      const rows = await store(events);
      for (const { after, ...rest } of questions) {
        const cursor = after === undefined ? undefined : rows[after % rows.length];
        const question = { ...rest, after: cursor };
        const expected = reference(rows, question);
        const got = await newest(question);
        if (JSON.stringify(got) !== JSON.stringify(expected))
          throw new Error(`${JSON.stringify(question)}: ${got} instead of ${expected}`);
        found += got.length;
      }
    },
  );
  await fc.assert(property, { seed: SEED, numRuns: 40, endOnFailure: true });
  t.ok(found > 1000, `${found} events found`);
});

const filter = fc.constantFrom<StatusFilter | undefined>(undefined, 'failed', ...STATUSES);

t.test('the pages of recent events are the whole table, by when an event was queued or set back to wait', async (t) => {
  const property = fc.asyncProperty(
    fc.array(event, { minLength: 1, maxLength: 40, size: 'max' }),
    fc.array(fc.record({ status: filter, limit: fc.integer({ min: 1, max: 20 }) }), { minLength: 4, maxLength: 8 }),
    async (events, questions) => {
      const rows = (await store(events)).map((row) => ({ ...row, at: row.requeued ?? row.at })).sort(latestFirst);
      for (const question of questions) {
        const { status } = question;
        const statuses = status === 'failed' ? ['retry', 'dead_letter'] : status ? [status] : STATUSES;
        const expected = rows.filter((row) => statuses.includes(row.status)).map(({ id }) => id);
        const got = await allPages(question);
        if (JSON.stringify(got) !== JSON.stringify(expected))
          throw new Error(`${JSON.stringify(question)}: ${got} instead of ${expected}`);
      }
    },
  );
  await t.resolves(fc.assert(property, { seed: SEED, numRuns: 30, endOnFailure: true }));
});

async function allPages(question: { status: StatusFilter | undefined; limit: number }): Promise<string[]> {
  const ids: string[] = [];
  let after: Awaited<ReturnType<typeof recentEvents>>['next'];
  do {
    const page = await recentEvents(db, { ...question, after });
    ids.push(...page.events.map(({ id }) => id));
    after = page.next;
  } while (after);
  return ids;
}

t.test('whatever ends the end of an event sets it back to wait at that time, also in psql', async (t) => {
  const [first] = await store([{ status: 'completed', minute: 1, pulled: false, requeued: null }]);
  const { rows } = await sql<{ since: boolean }>`update tds_sync_queue set status = 'pending', completed_at = null
    where id = ${first?.id} returning requeued_at = now() as since`.execute(db);
  t.same(rows, [{ since: true }]);
});

t.test('a dead letter follows the time of its event, which somebody may set by hand', async (t) => {
  const [row] = await store([{ status: 'dead_letter', minute: 1, pulled: false, requeued: null }]);
  await sql`update tds_sync_queue set queued_at = '2026-03-01T00:00:00Z' where id = ${row?.id}`.execute(db);
  const { queued_at } = await db.selectFrom('tds_dead_letter_queue').select('queued_at').executeTakeFirstOrThrow();
  t.same(queued_at, new Date('2026-03-01T00:00:00Z'));
});

/** Only these events, brought into their statuses as an operator or a worker does, by `queued_at` from the newest. */
async function store(events: Event[]): Promise<Row[]> {
  await sql`truncate tds_sync_queue, tds_dead_letter_queue`.execute(db);
  const ids = await arrive(
    pool,
    events.map((_, n) => `entity ${n}`),
  );
  const wanted = sql`unnest(${ids}::uuid[], ${events.map(({ status }) => status)}::text[],
    ${events.map(({ minute }) => minute)}::int[], ${events.map(({ pulled }) => pulled)}::boolean[])
    as w (id, status, minute, pulled)`;
  await sql`update tds_sync_queue q set priority = 0 from ${wanted} where q.id = w.id and w.status = 'processing'`.execute(
    db,
  );
  const claimed = events.filter(({ status }) => status === 'processing').length;
  if (claimed > 0) await new Claimer(pool).claim({ limit: claimed });
  await sql`update tds_sync_queue q set queued_at = '2026-01-01T00:00:00Z'::timestamptz + minute * interval '1 minute'
    from ${wanted} where q.id = w.id`.execute(db);
  for (const status of ['retry', 'completed', 'dead_letter'])
    await sql`update tds_sync_queue q set status = ${status}, error_message = case ${status} when 'dead_letter' then 'no' end
      from ${wanted} where q.id = w.id and w.status = ${status}`.execute(db);
  await sql`update tds_sync_queue q set requeued_at = '2026-01-01T00:00:00Z'::timestamptz + w.minute * interval '1 minute'
    from unnest(${ids}::uuid[], ${events.map(({ requeued }) => requeued)}::int[]) as w (id, minute)
    where q.id = w.id and w.minute is not null`.execute(db);
  await sql`update tds_inbox_events i set came_by = 'pull' from ${wanted} where i.event_id = w.id and pulled`.execute(
    db,
  );
  const { rows } = await sql<Row>`
    select q.id, queued_at::text as at, requeued_at::text as requeued, status, came_by from tds_sync_queue q
      join tds_inbox_events i on i.event_id = q.id`.execute(db);
  return rows.sort(latestFirst);
}

function latestFirst(a: Row, b: Row): number {
  return place(a) < place(b) ? 1 : -1;
}

const place = ({ at, id }: { at: string; id: string }) => `${at} ${id}`;

function reference(rows: Row[], { statuses, limit, after, webhooks, neverRequeued }: NewestAsked): string[] {
  return rows
    .filter(({ status }) => statuses.includes(status))
    .filter(({ came_by }) => !webhooks || came_by === null)
    .filter(({ requeued }) => !neverRequeued || requeued === null)
    .filter((row) => !after || place(row) < place(after))
    .slice(0, limit)
    .map(({ id }) => id);
}

async function newest(question: NewestAsked): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from tds_sync_queue q where ${isAmongNewest(question)}
    order by queued_at desc, id desc limit ${question.limit}`.execute(db);
  return rows.map(({ id }) => id);
}

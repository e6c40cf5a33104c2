/** Random histories of a few records, mirrored in random sets, against the reference of mirror-model.ts. */
import { deepStrictEqual as deepEqual } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import type { InboxEvent } from '../factory.ts';
import { testDatabase } from '../helper.ts';
import { type Fields, type Happening, next, type Row } from './mirror-model.ts';
import { draft, mirroring, newId } from './mirroring.ts';

const { db, pool } = await testDatabase(t);
const { arrive, handle } = mirroring(db);

const RUNS = { numRuns: 100 };
const START = Date.parse('2026-06-09T12:00:00Z');
const ENTITIES = 3;

const FULL: Fields = Object.fromEntries(Object.keys(draft).map((field) => [field, 'of a full record']));

type Event = Happening & { entity: number };

const second = fc.integer({ min: 0, max: 9 }).map((n) => START + n * 1000);
const status = fc.constantFrom('sent', 'paid', 'void');

/** Bodies as they come: full, with one field more, with some of the fields, or with ids and times alone. */
const body = fc.oneof(
  fc.record({
    kind: fc.constant('record' as const),
    full: fc.constant(true),
    fields: status.map((s) => ({ ...FULL, status: s })),
  }),
  fc.record({
    kind: fc.constant('record' as const),
    full: fc.constant(true),
    fields: status.map((s) => ({ ...FULL, status: s, notes: s })),
  }),
  fc.record({
    kind: fc.constant('record' as const),
    full: fc.constant(false),
    fields: status.map((s) => ({ invoice_id: '1', status: s })),
  }),
  fc.record({
    kind: fc.constant('record' as const),
    full: fc.constant(false),
    fields: status.map((s) => ({ terms: s, total: s })),
  }),
  fc.constant({
    kind: 'pointer' as const,
    full: false,
    fields: { invoice_id: '1', event: 'invoice.updated' } as Fields,
  }),
);
const removal = fc.constantFrom(
  { kind: 'delete' as const, full: false, fields: { invoice_id: '1' } as Fields },
  { kind: 'delete' as const, full: true, fields: { ...FULL, status: 'deleted' } as Fields },
);

/** Received in order, but for those that an operator has retried after days. */
const history = (
  content: fc.Arbitrary<Pick<Happening, 'kind' | 'full' | 'fields'>>,
  version: fc.Arbitrary<number | null>,
) =>
  fc
    .array(fc.tuple(content, version, fc.nat(ENTITIES - 1), fc.boolean(), second), { minLength: 1, maxLength: 25 })
    .map((events) =>
      events.map(([what, version, entity, inOrder, time], n): Event => {
        return { ...what, version, entity, receivedAt: inOrder ? START + n * 400 : time };
      }),
    );

/** After each of the events a set may end. */
const cuts = fc.array(fc.boolean(), { minLength: 25, maxLength: 25 });

t.test('whatever comes, in whatever sets, the mirror says and holds what the reference does', async (t) => {
  const events = history(
    fc.oneof({ weight: 5, arbitrary: body }, { weight: 1, arbitrary: removal }),
    fc.option(second, { nil: null, freq: 4 }),
  );
  await fc.assert(
    fc.asyncProperty(events, cuts, async (events, cuts) => {
      const expected = new Map<number, Row | undefined>();
      const stored = await replay(events, cuts, (set, outcomes) => {
        const steps = set.map((event) => {
          const [outcome, row] = next(expected.get(event.entity), event);
          expected.set(event.entity, row);
          return outcome;
        });
        same(outcomes, withSuperseded(set, steps));
      });
      same(
        stored.at(-1),
        Array.from({ length: ENTITIES }, (_, entity) => expected.get(entity)),
      );
    }),
    RUNS,
  );
  t.pass(`${RUNS.numRuns} histories`);
});

t.test('a record that was complete once never lacks a field of a full record again', async (t) => {
  const events = history(
    fc.oneof({ weight: 5, arbitrary: body }, { weight: 1, arbitrary: removal }),
    fc.option(second, { nil: null, freq: 4 }),
  );
  await fc.assert(
    fc.asyncProperty(events, cuts, async (events, cuts) => {
      const complete = new Set<number>();
      for (const rows of await replay(events, cuts)) {
        rows.forEach((row, entity) => {
          if (complete.has(entity))
            same(Object.keys({ ...FULL, ...row?.fields }).sort(), Object.keys(row?.fields ?? {}).sort());
          if (row?.complete) complete.add(entity);
        });
      }
    }),
    RUNS,
  );
  t.pass(`${RUNS.numRuns} histories`);
});

t.test('a row is stale exactly when the newest version known came in part', async (t) => {
  await fc.assert(
    fc.asyncProperty(history(body, second), cuts, async (events, cuts) => {
      const rows = (await replay(events, cuts)).at(-1) ?? [];
      rows.forEach((row, entity) => {
        if (!row) return;
        const known = events.filter((event) => event.entity === entity);
        const fromRow = known.slice(known.findIndex((event) => event.kind !== 'pointer'));
        const newest = (full: boolean) =>
          Math.max(0, ...fromRow.filter((event) => event.full === full).map((event) => event.version ?? 0));
        same({ entity, stale: row.stale !== null }, { entity, stale: newest(false) > newest(true) });
        same({ entity, version: row.complete ? row.version : 0 }, { entity, version: newest(true) });
      });
    }),
    RUNS,
  );
  t.pass(`${RUNS.numRuns} histories`);
});

/** Mirrors a history in sets; returns the rows as they stood after each. */
async function replay(
  events: Event[],
  cuts: boolean[],
  compare: (set: Event[], outcomes: (string | undefined)[]) => void = () => {},
): Promise<(Row | undefined)[][]> {
  const ids = Array.from({ length: ENTITIES }, newId);
  const snapshots = [];
  for (const set of inSets(events, cuts)) {
    const arrived = await arrive(...set.map((event) => asDelivered(event, ids[event.entity] ?? '')));
    compare(set, await handle(arrived));
    snapshots.push(await rowsOf(ids));
  }
  return snapshots;
}

function inSets(events: Event[], cuts: boolean[]): Event[][] {
  const sets: Event[][] = [[]];
  events.forEach((event, n) => {
    sets.at(-1)?.push(event);
    if (cuts[n]) sets.push([]);
  });
  return sets.filter((set) => set.length > 0);
}

function asDelivered({ kind, version, receivedAt, fields }: Event, entityId: string): InboxEvent {
  const times = { version: version === null ? null : new Date(version), receivedAt: new Date(receivedAt) };
  return { entityId, record: fields, action: kind === 'delete' ? 'deleted' : 'updated', ...times };
}

/** Of the events of one entity that were applied in one set, the last one's effect is what is left. */
function withSuperseded(set: Event[], outcomes: string[]): string[] {
  return outcomes.map((outcome, n) => {
    const again = set.some(
      (event, later) => later > n && event.entity === set[n]?.entity && outcomes[later] === 'applied',
    );
    return outcome === 'applied' && again ? 'superseded' : outcome;
  });
}

async function rowsOf(ids: string[]): Promise<(Row | undefined)[]> {
  const { rows } = await pool.query('select * from books_records where entity_id = any ($1)', [ids]);
  return ids.map((id) => asRow(rows.find((row) => row.entity_id === id)));
}

const time = (value: Date | null) => value?.getTime() ?? null;

function asRow(
  row: (Record<string, Date | null> & { record: Fields; complete: boolean }) | undefined,
): Row | undefined {
  if (!row) return undefined;
  const since = time(row.stale_since ?? null);
  const [version, receivedAt] = [time(row.stale_version ?? null), time(row.stale_received_at ?? null)];
  return {
    fields: row.record,
    complete: row.complete,
    version: time(row.version ?? null),
    receivedAt: time(row.received_at ?? null) ?? 0,
    deletedAt: time(row.deleted_at ?? null),
    stale: since === null ? null : { since, version, receivedAt },
  };
}

/** Throws, so that fast-check looks for a shorter history that fails too. */
function same(found: unknown, expected: unknown): void {
  deepEqual(found, expected);
}

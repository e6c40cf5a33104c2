/** Holes are judged as a small reference model judges them, whatever comes in which order. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { sql } from 'kysely';
import t from 'tap';
import { enqueue } from '../../src/queue/enqueue.ts';
import { judgeHoles } from '../../src/sync/holes.ts';
import { advanceMark } from '../../src/sync/marks.ts';
import { recordPulledChange } from '../../src/sync/pulled-changes.ts';
import { purgeJudged } from '../../src/sync/purge.ts';
import { testDatabase } from '../helper.ts';
import { webhookOf } from './webhook.ts';

const { db, pool } = await testDatabase(t);
const ORGANIZATION = '10';
const GRACE_SECONDS = 3600;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const RUNS = Number(process.env.FC_RUNS ?? 150);

/** Versions are whole numbers: ten minutes each, all of them in the past. */
const atVersion = (now: number, version: number) => now - 3 * HOUR + version * 10 * MINUTE;

type Change = {
  module: string;
  entityId: string;
  version: number | null;
  foundAgo: number;
  announced: boolean;
  alone: boolean;
};
type Webhook = { module: string; entityId: string; version: number | null; action: string };
type Step =
  | ({ kind: 'webhook' } & Webhook)
  | ({ kind: 'found' } & Change)
  | { kind: 'pulledWhole'; module: string; version: number }
  | { kind: 'named'; entityId: string; version: number }
  | { kind: 'judge' };

// Few records and versions, so that steps often concern the same ones.
const module = fc.constantFrom('invoice', 'invoice', 'invoice', 'bill', 'tax');
const entityId = fc.constantFrom('1', '1', '1', '2');
const version = fc.nat(2);
const steps = fc.array(
  fc.oneof(
    fc.record({
      ...{ kind: fc.constant('webhook' as const), module: fc.constantFrom('invoice', 'invoice', 'bill'), entityId },
      ...{ version: fc.option(version), action: fc.constantFrom('updated', 'updated', 'deleted') },
    }),
    fc.record({
      ...{ kind: fc.constant('found' as const), module, entityId, version: fc.option(version, { freq: 4 }) },
      foundAgo: fc.constantFrom(0, 2 * HOUR),
      ...{ announced: fc.nat(4).map((n) => n === 0), alone: fc.nat(4).map((n) => n === 0) },
    }),
    fc.record({ kind: fc.constant('pulledWhole' as const), module, version }),
    fc.record({ kind: fc.constant('named' as const), entityId, version }),
    fc.record({ kind: fc.constant('judge' as const) }),
  ),
  { minLength: 4, maxLength: 16, size: 'max' },
);

/** What should be true, in a few lines: no SQL, no batches, no counters. */
class Model {
  webhooks: Webhook[] = [];
  waiting: Change[] = [];
  pulledWhole = new Map<string, number>();
  /** The version of the payment that named a record last. */
  named = new Map<string, number>();
  holes = new Set<string>();
  readonly #now: number;

  constructor(now: number) {
    this.#now = now;
  }

  judge(): void {
    const due = this.waiting.filter(({ foundAgo }) => foundAgo >= GRACE_SECONDS * 1000);
    this.waiting = this.waiting.filter((change) => !due.includes(change));
    for (const change of due) if (this.#isHole(change)) this.holes.add(keyOf(change));
  }

  #isHole({ module, entityId, version, foundAgo, announced }: Change): boolean {
    if (announced || module === 'tax') return false;
    const changedAt = version === null ? this.#now - foundAgo : atVersion(this.#now, version);
    if (changedAt < this.#expectedSince(module)) return false;
    if (version !== null && this.named.get(`${module} ${entityId}`) === version) return false;
    return !this.webhooks.some((webhook) => {
      if (webhook.module !== module || webhook.entityId !== entityId) return false;
      if (version === null) return webhook.action === 'deleted';
      return webhook.version === null || webhook.version >= version;
    });
  }

  #expectedSince(of: string): number {
    const versions = this.webhooks.filter(({ module }) => module === of).flatMap(({ version }) => version ?? []);
    const byWebhooks = versions.length > 0 ? atVersion(this.#now, Math.min(...versions)) - 5 * MINUTE : Infinity;
    return Math.min(byWebhooks, this.pulledWhole.get(of) ?? Infinity);
  }
}

const keyOf = ({ module, entityId, version }: Pick<Change, 'module' | 'entityId' | 'version'>) =>
  `${module} ${entityId} ${version}`;

async function happens(now: number, model: Model, step: Step): Promise<void> {
  if (step.kind === 'webhook') {
    model.webhooks.push(step);
    const at = step.version === null ? null : new Date(atVersion(now, step.version));
    await enqueue(pool, [webhookOf({ ...step, organizationId: ORGANIZATION, version: at })]);
  } else if (step.kind === 'found') {
    model.waiting.push(step);
    await found(now, step);
  } else if (step.kind === 'pulledWhole') {
    const at = atVersion(now, step.version);
    model.pulledWhole.set(step.module, Math.min(at, model.pulledWhole.get(step.module) ?? Infinity));
    const mark = { organizationId: ORGANIZATION, module: step.module, runId: randomUUID(), scannedPages: 1 };
    const startedAt = new Date(at).toISOString();
    await db.transaction().execute((trx) => advanceMark(trx, { ...mark, startedAt, scannedRecords: 1 }));
  } else if (step.kind === 'named') {
    model.named.set(`invoice ${step.entityId}`, step.version);
    await sql`
      insert into tds_refetches (organization_id, module, entity_id, reason, version)
      values (${ORGANIZATION}, 'invoice', ${step.entityId}, 'named', ${new Date(atVersion(now, step.version))})
      on conflict (module, entity_id, organization_id) do update set version = excluded.version`.execute(db);
  } else {
    model.judge();
    await judgeHoles(db, GRACE_SECONDS);
  }
}

/** The change lies in the queue too, as a pull sends it there: that is no announcement. */
async function found(now: number, { module, entityId, version, foundAgo, announced, alone }: Change): Promise<void> {
  const at = version === null ? null : new Date(atVersion(now, version));
  const action = version === null ? 'deleted' : 'updated';
  const event = webhookOf({ organizationId: ORGANIZATION, module, entityId, action, version: at });
  await enqueue(pool, [{ ...event, source: 'pull', dedupeKey: null }]);
  const { eventId } = event;
  const change = {
    ...{ eventId, organizationId: ORGANIZATION, module, entityId, announced, reason: 'test' },
    ...{ version: at, runId: alone ? null : randomUUID() },
    difference: version === null ? ('extra' as const) : ('stale' as const),
  };
  await db.transaction().execute((trx) => recordPulledChange(trx, [change]));
  await sql`update tds_pulled_changes set found_at = ${new Date(now - foundAgo)} where event_id = ${eventId}`.execute(
    db,
  );
}

t.test('whatever comes in which order, the holes are those of the model', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (given) => {
      await pool.query(`truncate tds_pulled_changes, tds_holes, tds_change_totals, tds_pull_marks, tds_refetches, tds_sync_queue,
        tds_inbox_events, tds_inbox_payloads`);
      const now = Date.now();
      const model = new Model(now);
      for (const step of [...given, { kind: 'judge' } as const]) await happens(now, model, step);
      const { rows } = await sql<{ module: string; entityId: string; version: Date | null }>`
        select module, entity_id as "entityId", version from tds_holes`.execute(db);
      const numbered = rows.map(({ version, ...of }) =>
        keyOf({ ...of, version: version && Math.round((version.getTime() - atVersion(now, 0)) / (10 * MINUTE)) }),
      );
      assert.deepEqual(numbered.toSorted(), [...model.holes].toSorted());
      await purgeJudged(db);
      const left = await sql<{ n: number }>`select count(*)::int as n from tds_pulled_changes`.execute(db);
      assert.equal(left.rows[0]?.n, model.waiting.length, 'each change is judged once, and goes');
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
});

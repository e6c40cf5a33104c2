/** Every rule fires and resolves because the condition itself comes and goes. The clock is injected. */
import { sql } from 'kysely';
import t from 'tap';
import { evaluateAlerts } from '../../src/monitor/alerts/evaluate.ts';
import { RULES } from '../../src/monitor/alerts/rules.ts';
import { checkMetrics } from '../../src/monitor/roll-ups/fold.ts';
import { pause, resume } from '../../src/queue/pause.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer, RELEASED, registerWorker } from '../queue/engine.ts';
import { completenessConditions, WEBHOOKS_PER_DAY } from './completeness-conditions.ts';
import type { Condition } from './condition.ts';
import { deliveryConditions } from './delivery-conditions.ts';
import { workflowConditions } from './workflow-conditions.ts';

const database = await testDatabase(t);
const { db, pool } = database;
const MINUTE = 60;
const failed = (tag: string, permanent = true): Outcome =>
  ({ kind: 'failed', tag, message: 'no', permanent }) as unknown as Outcome;

let clock = 0;
const at = (seconds = 0) => new Date(clock + seconds * 1000);
const run = async (text: string) => sql.raw(text).execute(db);
const many = (count: number) => Array.from({ length: count }, (_, n) => `e${n}`);

/** Events that end like this, in one claim each. */
async function process(count: number, outcome: Outcome | undefined): Promise<void> {
  await arrive(pool, many(count));
  const claimer = new Claimer(pool, await registerWorker(pool));
  await claimer.end(await claimer.claim({ limit: count }), outcome);
}
const pendingEvents = (count: number) => ({
  comes: () => arrive(pool, many(count)),
  goes: () => run('delete from tds_sync_queue'),
});
const deadLetters = (count: number, tag = 'TimeoutError') => ({
  comes: () => process(count, failed(tag)),
  goes: () => run('delete from tds_sync_queue'),
});
/** The attempts move into the past, where rates no longer see them; then one attempt succeeds. */
const ageAttempts = async () => {
  await run(`update tds_processing_totals set bucket = bucket - interval '2 hours'`);
  await run(`update tds_sync_logs set created_at = created_at - interval '2 hours'`);
  await run('delete from tds_sync_queue');
  await process(1, undefined);
};
const failures = (share: number) => ({
  comes: async () => {
    await process(100 - share, undefined);
    await process(share, failed('TimeoutError', false));
  },
  goes: ageAttempts,
});
const zohoCalls = (failed: number) => ({
  comes: async () => {
    await run(`insert into tds_zoho_quota (organization_id) values ('10') on conflict do nothing`);
    for (let n = 0; n < 20; n += 1) {
      await run(
        `insert into tds_zoho_calls (organization_id, lane, expires_at) values ('10', 'refetch', now() + interval '1 minute')`,
      );
      if (n < failed) await run('update tds_zoho_quota set failures = failures + 1');
      await run('update tds_zoho_calls set ended_at = clock_timestamp() where ended_at is null');
    }
  },
  goes: async () => {
    await run(`update tds_zoho_totals set bucket = bucket - interval '2 days'`);
    await run('update tds_zoho_quota set failures = 0');
    await run(`insert into tds_zoho_calls (organization_id, lane, expires_at) values ('10', 'refetch', now())`);
    await run('update tds_zoho_calls set ended_at = clock_timestamp() where ended_at is null');
  },
});

const CONDITIONS: Record<string, Condition> = {
  queue_backlog_critical: pendingEvents(1001),
  queue_backlog_warning: pendingEvents(501),
  queue_backlog_lasting: { ...pendingEvents(1001), after: 60 * MINUTE },
  dead_letters_critical: deadLetters(101),
  dead_letters_warning: deadLetters(51),
  stuck_events: {
    comes: async () => {
      await arrive(pool, ['s']);
      await new Claimer(pool, await registerWorker(pool)).claim();
      await run(`update tds_sync_queue set started_at = now() - interval '2 hours' where status = 'processing'`);
    },
    goes: () => run(`update tds_sync_queue set status = 'pending', started_at = null`),
  },
  processing_standstill: {
    comes: async () => {
      await arrive(pool, ['s']);
      await new Claimer(pool, await registerWorker(pool)).claim();
      await run(`update tds_queue_leases set claimed_at = now() - interval '6 minutes'`);
    },
    goes: () => process(1, undefined),
  },
  processing_delay: {
    comes: async () => {
      await arrive(pool, ['s']);
      await run(`update tds_sync_queue set queued_at = now() - interval '11 minutes'`);
    },
    goes: async () => {
      const claimer = new Claimer(pool, await registerWorker(pool));
      await claimer.end(await claimer.claim());
    },
  },
  events_given_back: {
    comes: async () => {
      await arrive(pool, ['s']);
      const claimer = new Claimer(pool, await registerWorker(pool));
      for (let n = 0; n < 5; n += 1) await claimer.end(await claimer.claim(), RELEASED);
    },
    goes: async () => {
      const claimer = new Claimer(pool, await registerWorker(pool));
      await claimer.end(await claimer.claim());
    },
  },
  quarantined_deliveries: {
    comes: async () => {
      await process(1, failed('ValidationError'));
      await run(`update tds_dead_letter_queue set kind = 'quarantined'`);
    },
    goes: () => run('delete from tds_sync_queue'),
  },
  failure_rate_critical: failures(11),
  failure_rate_warning: failures(6),
  success_rate_low: failures(11),
  error_rate_critical: { ...failures(6), after: 5 * MINUTE },
  error_rate_warning: { ...failures(2), after: 5 * MINUTE },
  failed_operations: failures(11),
  latency_high: {
    comes: async () => {
      await process(30, undefined);
      await run(
        `update tds_sync_logs set duration_ms = 6000 where queue_id in (select queue_id from tds_sync_logs limit 3)`,
      );
    },
    goes: ageAttempts,
  },
  rejected_events: deadLetters(1, 'ConflictError'),
  other_side_failed: deadLetters(1, 'ServiceUnavailableError'),
  no_worker: {
    comes: () =>
      run(`update tds_workers set heartbeat_at = now() - interval '31 s', expires_at = now() - interval '1 s'`),
    goes: () => registerWorker(pool),
  },
  worker_old: {
    comes: () => run(`update tds_workers set heartbeat_at = now() - interval '61 s'`),
    goes: () => run('update tds_workers set ended_at = now()'),
  },
  worker_of_other_release: {
    comes: () => run(`update tds_workers set version = '0.0.1'`),
    goes: () => run(`update tds_workers set version = '1.0.0'`),
    after: 10 * MINUTE,
  },
  processing_paused: { comes: () => pause(db, 'ann', 'a test'), goes: () => resume(db) },
  external_api_failing: { ...zohoCalls(3), after: 5 * MINUTE },
  external_api_failures_in_a_row: zohoCalls(3),
  circuit_tripping: {
    comes: async () => {
      await zohoCalls(1).comes();
      for (let n = 0; n < 51; n += 1)
        await run(`update tds_zoho_quota set failures = failures + 1, paused_until = now() + interval '${n} seconds'`);
    },
    goes: zohoCalls(0).goes,
  },
  metrics_drift: {
    comes: async () => {
      await arrive(pool, ['s']);
      await run('delete from tds_metrics_changes');
      await checkMetrics(pool);
    },
    goes: () => run('select tds_rebuild()'),
  },
  ...deliveryConditions(database),
  ...workflowConditions(t, database),
  ...completenessConditions(database),
};

t.test('there is a condition for every rule', async (t) => {
  t.same(Object.keys(CONDITIONS).toSorted(), RULES.map(({ rule }) => rule).toSorted());
});

t.beforeEach(async () => {
  await run(`truncate tds_alerts, tds_alert_pending, tds_outbox, tds_sync_queue, tds_processing_totals, tds_sync_logs,
    tds_workers, tds_zoho_totals, tds_zoho_calls, tds_zoho_quota, tds_inbox_events, tds_inbox_payloads, books_records, tds_fields, tds_field_samples,
    tds_webhook_rejections, tds_workflows, tds_pull_verdicts, tds_withheld_deletions, tds_pulled_changes, tds_pull_marks, tds_holes, tds_change_totals, tds_zoho_rules cascade`);
  await run('update tds_metrics_state set drift = null');
  await run('update tds_webhook_intake set last_accepted_at = null, rejected_since_accepted = 0');
  await registerWorker(pool);
  await run(`update tds_workers set expires_at = now() + interval '1 day', version = '1.0.0'`);
  clock = Date.now() + 2000;
});

for (const [rule, { comes, goes, after = 0, later = 0, until = 0 }] of Object.entries(CONDITIONS)) {
  t.test(rule, async (t) => {
    await evaluate();
    t.same(await state(rule), [], 'all is well before');
    await comes();
    clock = Math.max(clock, Date.now() + 2000) + later * 1000;
    await evaluate();
    if (after > 0) {
      t.same(await state(rule), [], 'it has to last');
      t.ok((await sql`select from tds_alert_pending where rule = ${rule}`.execute(db)).rows.length > 0, 'it waits');
      await keepFresh(after);
      await evaluate();
    }
    t.match(await state(rule), [{ resolved_at: null }], 'it fires');
    await goes();
    clock = Math.max(clock, Date.now() + 2000) + until * 1000;
    await happenedJustNow();
    await evaluate();
    t.match(await state(rule), [{ resolved_at: Date }], 'it resolves');
    const { rows } = await sql<{ change: string }>`
      select body ->> 'change' as change from tds_outbox where kind = 'alert' and body ->> 'rule' = ${rule} order by id`.execute(
      db,
    );
    t.same(rows, [{ change: 'firing' }, { change: 'resolved' }], 'and both are told');
  });
}

t.test('a pause is told once, and nothing that it explains', async (t) => {
  await pause(db, 'ann', 'a test');
  await arrive(pool, many(1001));
  await evaluate();
  clock += 5 * 3600 * 1000;
  await evaluate();
  const { rows } = await sql`select body ->> 'change' as change, body ->> 'rule' as rule from tds_outbox
    where kind = 'alert' and body ->> 'rule' <> 'worker_old' order by id`.execute(db);
  t.same(rows, [
    { change: 'firing', rule: 'processing_paused' },
    { change: 'reminder', rule: 'processing_paused' },
  ]);
  await resume(db);
  await evaluate();
  t.match(await state('queue_backlog_critical'), [{ resolved_at: null }], 'then it fires');
});

function evaluate() {
  return evaluateAlerts(db, {
    failureRateMinEvents: 20,
    watchedSeconds: 3600,
    release: '1.0.0',
    webhooksPerDay: WEBHOOKS_PER_DAY,
    now: at(),
  });
}

/** Time goes by, and what the facts look back on goes with it. */
async function keepFresh(seconds: number): Promise<void> {
  clock += seconds * 1000;
  const by = `interval '${seconds} seconds'`;
  await run(`update tds_processing_totals set bucket = bucket + ${by}`);
  await run(`update tds_zoho_totals set bucket = bucket + ${by}`);
}

/** What happened by the database's clock a moment ago happened a moment ago by the injected one. */
async function happenedJustNow(): Promise<void> {
  const by = `interval '${Math.max(0, clock - Date.now() - 2000)} milliseconds' where bucket > now() - interval '1 minute'`;
  await run(`update tds_processing_totals set bucket = bucket + ${by}`);
  await run(`update tds_zoho_totals set bucket = bucket + ${by}`);
}

async function state(rule: string): Promise<unknown[]> {
  const { rows } = await sql`select resolved_at from tds_alerts where rule = ${rule} and not superseded`.execute(db);
  return rows;
}

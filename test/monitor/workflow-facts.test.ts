import { sql } from 'kysely';
import t from 'tap';
import { evaluateAlerts } from '../../src/monitor/alerts/evaluate.ts';
import { readWorkflowFacts } from '../../src/monitor/alerts/workflow-facts.ts';
import { pause, resume } from '../../src/queue/pause.ts';
import { testDatabase } from '../helper.ts';

const { db } = await testDatabase(t);
const facts = () => readWorkflowFacts(db);

t.afterEach(async () => {
  await sql`truncate tds_workflows cascade`.execute(db);
});

type Given = { status?: string; tag?: string; minutes?: number; updated?: number; waits?: number; name?: string };

/** A run that was created so many minutes ago, made its last progress `updated` minutes ago and waits for `waits` more. */
async function run({ status = 'running', tag, minutes = 60, updated = 0, waits = 0, name = 'SyncAll' }: Given) {
  const result = tag ? { message: 'no', tag, cause: [] } : status === 'completed' ? {} : null;
  await sql`
    insert into tds_workflows (name, organization_id, status, payload, result, progress, started_by, created_at, updated_at, run_at)
    values (${name}, '10', ${status}, '{}', ${result && JSON.stringify(result)}::jsonb, '{}', 'ann', now() - ${minutes}::int * interval '1 minute',
      now() - ${updated}::int * interval '1 minute', now() + ${waits}::int * interval '1 minute')`.execute(db);
}

t.test('a failed workflow counts by its error tag until something has come of it', async (t) => {
  await run({ status: 'failed', tag: 'ValidationError' });
  await run({ status: 'failed', tag: 'TimeoutError', name: 'Reconcile' });
  t.match(await facts(), { failedValidationError: 1, failedTimeoutError: 1, failedUnknownError: 0 });
  await run({ status: 'failed', tag: 'NetworkError', minutes: 50 });
  t.match(await facts(), { failedValidationError: 0, failedNetworkError: 1 }, 'of several in a row the last one');
  await run({ status: 'completed', minutes: 40 });
  t.match(await facts(), { failedNetworkError: 0, failedTimeoutError: 1 }, 'a later one has completed');
  await sql`update tds_workflows set status = 'terminated' where name = 'Reconcile'`.execute(db);
  t.match(await facts(), { failedTimeoutError: 0 }, 'an operator has given it up');
});

t.test('a running workflow that finishes no activity is noticed, unless it says what it waits for', async (t) => {
  const withoutProgress = async () => (await facts()).workflowsWithoutProgress;
  await run({ updated: 14, waits: -20 });
  t.equal(await withoutProgress(), 0);
  await sql`update tds_workflows set updated_at = now() - interval '16 minutes'`.execute(db);
  t.equal(await withoutProgress(), 1);
  await pause(db, 'ann', null);
  t.equal(await withoutProgress(), 0, 'nobody may process anything');
  await resume(db);
  await sql`update tds_workflows set run_at = now() + interval '5 hours'`.execute(db);
  t.equal(await withoutProgress(), 0, 'the quota is used up');
  await sql`update tds_workflows set updated_at = now() - interval '27 hours'`.execute(db);
  t.equal(await withoutProgress(), 1, 'but not for longer than a day');
  await sql`update tds_workflows set status = 'paused'`.execute(db);
  t.equal(await withoutProgress(), 0);
});

t.test('the alert says what to do, and resolves', async (t) => {
  await run({ status: 'failed', tag: 'ConflictError' });
  const evaluate = async () => {
    const changes = await evaluateAlerts(db, { failureRateMinEvents: 20, watchedSeconds: 0 });
    return changes.filter(({ rule }) => rule.startsWith('workflow'));
  };
  t.match(await evaluate(), [
    {
      change: 'fired',
      rule: 'workflow_failed_conflict_error',
      severity: 'critical',
      message: /ConflictError\. It would fail again/,
    },
  ]);
  await run({ status: 'completed', minutes: 1 });
  t.match(await evaluate(), [{ change: 'resolved', rule: 'workflow_failed_conflict_error' }]);
});

/** A healthy system has no findings; each planted fault is found, with its cause and the next command. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { examine } from '../../src/monitor/doctor/doctor.ts';
import type { Finding } from '../../src/monitor/doctor/finding.ts';
import { pause, resume } from '../../src/queue/pause.ts';
import { VERSION } from '../../src/version.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer } from '../queue/engine.ts';

const { db, pool, url } = await testDatabase(t);
let service: pg.Client | undefined;

const config = loadConfig({ NODE_ENV: 'test' });

/** The shared server of all tests has sessions, time and a disk of its own: these are judged where they are planted. */
const OF_THE_SERVER = ['connections', 'clock_skew', 'disk', 'slow_statements'];

async function found(): Promise<Finding[]> {
  return (await examine(db, config)).findings.filter(({ code }) => !OF_THE_SERVER.includes(code));
}

t.beforeEach(async () => {
  await pool.query(`truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_workers,
    tds_retry_runs, tds_retry_run_events, tds_processing_totals, books_records, tds_zoho_tokens, tds_zoho_quota cascade`);
  await resume(db);
  await worker(VERSION);
});

async function worker(version: string, seconds = 60): Promise<void> {
  await pool.query(
    `insert into tds_workers (worker_id, host, pid, version, expires_at, concurrency)
     values (gen_random_uuid(), 'vm1', 1, $1, now() + $2 * interval '1 second', 5)`,
    [version, seconds],
  );
}

const many = (count: number) =>
  arrive(
    pool,
    Array.from({ length: count }, () => randomUUID()),
  );

/** As the owner of the tables can, who may switch their triggers off. */
async function alterAudit(...statements: string[]): Promise<void> {
  await pool.query('alter table tds_audit_log disable trigger user');
  for (const statement of statements) await pool.query(statement);
  await pool.query('alter table tds_audit_log enable trigger user');
}

t.test('a healthy system has no findings', async (t) => {
  await many(3);
  t.same(await found(), []);
  const { status, examined } = await examine(db, { ...config });
  t.ok(examined >= 18);
  t.ok(['healthy', 'warning'].includes(status));
});

type Fault = {
  plant(): Promise<unknown>;
  is: Partial<Finding> | Record<keyof Finding, RegExp | string>;
  mend?(): Promise<unknown>;
};

const FAULTS: Record<string, Fault> = {
  'nobody started a worker': {
    plant: () => pool.query('truncate tds_workers'),
    is: { code: 'no_worker', severity: 'critical', cause: /no worker was started/, next: /restart/ } as never,
  },
  'the worker died': {
    plant: () => pool.query(`update tds_workers set expires_at = now() - interval '1 minute'`),
    is: { code: 'no_worker', cause: /died/, evidence: /vm1/ } as never,
  },
  'a worker is of an older release': {
    plant: () => worker('0.9.0'),
    is: { code: 'old_worker', evidence: /0\.9\.0/ } as never,
  },
  'every worker is drained': {
    plant: () => pool.query(`update tds_workers set drained_at = now(), drained_by = 'anna'`),
    is: { code: 'drained', severity: 'critical', cause: 'anna drained them', next: 'tds workers drain --resume' },
  },
  'the queue is paused': {
    plant: () => pause(db, 'anna', 'Zoho is down'),
    is: { code: 'paused', cause: 'anna paused it: Zoho is down', next: 'tds queue resume' },
  },
  'an event type is paused': {
    plant: () =>
      pool.query(
        `insert into tds_event_type_pauses (event_type, paused_by, reason) values ('bill.*', 'anna', 'wrong tax')`,
      ),
    is: {
      code: 'event_type_paused',
      cause: 'anna paused them: wrong tax',
      next: "tds queue resume --event-type 'bill.*'",
    },
    mend: () => pool.query('delete from tds_event_type_pauses'),
  },
  'a secret is old': {
    plant: () =>
      pool.query(`insert into tds_secrets (name, salt, fingerprint, since)
        values ('OPERATOR_TOKENS', '', '', now() - interval '400 days')`),
    is: { code: 'old_secrets', severity: 'info', evidence: 'OPERATOR_TOKENS: 400 days' },
    mend: () => pool.query('truncate tds_secrets'),
  },
  'nothing is processed': {
    plant: () => many(501),
    is: { code: 'backlog', severity: 'critical', cause: 'nothing is processed at all' },
  },
  'a burst is being worked off': {
    plant: async () => {
      await many(120);
      await pool.query(
        'truncate tds_processing_totals; insert into tds_processing_totals (bucket, succeeded) values (now(), 1200)',
      );
    },
    is: { code: 'backlog', severity: 'warning', cause: /burst/, evidence: /gone in about 1 min/ } as never,
  },
  'a handler hangs': {
    plant: async () => {
      await many(1);
      await new Claimer(pool).claim();
      await pool.query(`update tds_sync_queue set started_at = now() - interval '2 hours'`);
    },
    is: { code: 'stuck_events', next: /release-stuck/ } as never,
  },
  'events are given back again and again': {
    plant: async () => {
      await many(1);
      await pool.query(`update tds_sync_queue set release_count = 5, error_message = 'Zoho asked to wait'`);
    },
    is: { code: 'given_back', evidence: 'Zoho asked to wait' },
  },
  'a handler fails all of a kind': {
    plant: async () => {
      await many(12);
      await pool.query(
        `update tds_sync_queue set status = 'dead_letter', error_tag = 'TimeoutError', error_message = 'no answer from 10.0.0.1'`,
      );
    },
    is: {
      code: 'dead_letters',
      cause: /^12 of them: TimeoutError: no answer from …$/,
      next: /tds dlq retry --group [0-9a-f]{16}/,
    } as never,
  },
  'many attempts fail': {
    plant: () =>
      pool.query(`
        with totals as (insert into tds_processing_totals (bucket, succeeded, failed) values (now(), 15, 5)),
        grouped as (
          insert into tds_failure_groups (fingerprint, error_tag, message, place, failures, first_seen_at, last_seen_at)
          values ('00000000000000aa', 'TimeoutError', 'no answer', 'price', 5, now(), now()))
        insert into tds_failure_hours values ('00000000000000aa', date_trunc('hour', now()), 5)`),
    is: {
      ...{ code: 'failures', severity: 'critical', evidence: '5 of 20 attempts failed' },
      ...{ cause: 'most of all TimeoutError: no answer', next: /00000000000000aa/ as never },
    },
  },
  'a bulk retry stopped itself': {
    plant: () =>
      pool.query(`insert into tds_retry_runs (created_by, selection, status, status_reason, rate_per_second, max_failure_percent, total, ended_at)
        values ('anna', '{}', 'stopped', '1 of the last 1 failed again', 1, 20, 5, now())`),
    is: { code: 'retry_stopped', cause: /1 of the last 1/ } as never,
  },
  'no webhook arrives any more': {
    plant: async () => {
      await many(1);
      await pool.query(
        `update tds_sync_queue set queued_at = now() - interval '25 hours', status = 'completed', completed_at = now()`,
      );
    },
    is: { code: 'silent_webhooks', next: /zoho -- check/ } as never,
  },
  'Zoho refuses the refresh token': {
    plant: () =>
      pool.query(
        `insert into tds_zoho_tokens (credential, organizations, failure, failed_at, refused_at) values ('a', '{10}', 'invalid_code', now(), now())`,
      ),
    is: { code: 'zoho_token', severity: 'critical', cause: /refuses the refresh token/, next: /connect/ } as never,
  },
  'Zoho does not answer': {
    plant: () =>
      pool.query(`insert into tds_zoho_quota (organization_id, failures, paused_until, pause_reason)
        values ('10', 5, now() + interval '1 minute', 'Five calls in a row failed: 503')`),
    is: { code: 'open_circuit', cause: /503/, evidence: /^10: 5 calls in a row failed/ } as never,
  },
  'another secret is set in Zoho': {
    plant: () =>
      pool.query(`insert into tds_webhook_rejections (hour, cause, path, rejections, first_at, last_at)
          values (date_trunc('hour', now()), 'wrong_secret', '/webhooks/zoho-books', 12, now(), now());
        update tds_webhook_intake set rejected_since_accepted = 12`),
    is: {
      ...{ code: 'rejected_deliveries', severity: 'warning', cause: /signed with another one/ },
      ...{ evidence: /12 wrong_secret/, next: /explain-signature/ },
    } as never,
    mend: () =>
      pool.query('truncate tds_webhook_rejections; update tds_webhook_intake set rejected_since_accepted = 0'),
  },
  'the rule of one module is off in Zoho': {
    plant: () =>
      pool.query(`insert into tds_pull_marks (organization_id, module, known_until, first_pulled_at, run_id)
          values ('10', 'bill', now(), now() - interval '30 days', gen_random_uuid());
        insert into tds_change_totals (bucket, organization_id, module, webhooks, last_webhook_at)
          select bucket, '10', 'bill', 1, bucket from generate_series(date_trunc('hour', now() - interval '20 days'),
            date_trunc('hour', now() - interval '3 days'), interval '6 hours') bucket`),
    is: {
      code: 'silent_modules',
      title: /bill/,
      evidence: /^10 bill: last webhook at/,
      next: /check --modules bill/,
    } as never,
    mend: () => pool.query('truncate tds_pull_marks, tds_change_totals'),
  },
  'the calls of the day are used up': {
    plant: () =>
      pool.query(
        `insert into tds_zoho_quota (organization_id, day_limit, day_remaining, day_resets_at) values ('10', 1000, 7, now() + interval '1 hour')`,
      ),
    is: { code: 'zoho_quota', evidence: /7 of 1000/ } as never,
  },
  'counts are wrong': {
    plant: () => pool.query('insert into tds_queue_counts (pending) values (7)'),
    is: {
      code: 'derived_tables',
      next: 'tds queue rebuild --dry-run',
      evidence: /7 wait by count, 0 by table/,
    } as never,
    mend: () => pool.query('insert into tds_queue_counts (pending) values (-7)'),
  },
  'an entry of the audit log was removed by its owner': {
    plant: async () => {
      for (const action of ['a.b', 'c.d', 'e.f'])
        await pool.query(`insert into tds_audit_log (operator, action, result) values ('ann', $1, 'done')`, [action]);
      await alterAudit(`delete from tds_audit_log where action = 'c.d'`);
    },
    is: { code: 'audit_chain', severity: 'critical', evidence: /were removed/, next: 'tds audit verify' } as never,
    mend: () =>
      alterAudit('delete from tds_audit_log', `update tds_audit_head set last_id = archived_id, hash = archived_hash`),
  },
  'an index is invalid': {
    plant: () =>
      pool.query(
        `create index spoilt on tds_alerts (title); update pg_index set indisvalid = false where indexrelid = 'spoilt'::regclass`,
      ),
    is: { code: 'invalid_index', evidence: 'spoilt' },
    mend: () => pool.query('drop index spoilt'),
  },
  'nothing is purged': {
    plant: async () => {
      await many(2);
      await pool.query(`update tds_sync_queue set status = 'completed', queued_at = now() - interval '40 days', completed_at = now() - interval '40 days'
        where id = (select id from tds_sync_queue limit 1)`);
    },
    is: { code: 'purge_overdue', next: 'tds queue purge --dry-run' },
  },
  'a migration is missing': {
    plant: () =>
      pool.query(
        `create table kept as select * from tds_migrations; delete from tds_migrations where name like '0019%'`,
      ),
    is: { code: 'schema', severity: 'critical', evidence: /0019/, next: 'tds migrate up' } as never,
    mend: () => pool.query(`insert into tds_migrations select * from kept where name like '0019%'; drop table kept`),
  },
};

t.test('strangers at the door are told of, and are no fault', async (t) => {
  await pool.query(`insert into tds_webhook_rejections (hour, cause, path, rejections, first_at, last_at)
    values (date_trunc('hour', now()), 'no_signature', '/webhooks/zoho-books', 1, now(), now())`);
  t.match(await found(), [{ code: 'rejected_deliveries', severity: 'info' }]);
  await pool.query('truncate tds_webhook_rejections');
});

// The server of DATABASE_URL has a role of its own.
if (!process.env.DATABASE_URL)
  Object.assign(FAULTS, {
    'a service connects as the owner of the tables': {
      plant: async () => {
        service = new pg.Client({ connectionString: url, application_name: 'tds-core-api' });
        await service.connect();
      },
      is: { code: 'owner_role', evidence: /^tds-core-api as /, next: /tds_app/ } as never,
      mend: async () => service?.end(),
    },
  } satisfies typeof FAULTS);

for (const [fault, { plant, is, mend }] of Object.entries(FAULTS)) {
  t.test(fault, async (t) => {
    await plant();
    const findings = await found();
    await mend?.();
    t.match(findings, [is]);
    t.equal(findings.length, 1, JSON.stringify(findings.map(({ code }) => code)));
  });
}

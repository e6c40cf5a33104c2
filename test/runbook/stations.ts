/** For each block of the guide: what has to be there before, and what it must print beyond succeeding. */
import { spawnSync } from 'node:child_process';
import type { Test } from 'tap';
import { differences } from './guide.ts';
import { OPERATOR, type World } from './world.ts';

type Assert = Pick<Test, 'same' | 'equal' | 'match' | 'ok'>;

export type Station = {
  /** Sets `world.subject` where the guide says "your-event-id". */
  arrange?: (world: World) => Promise<unknown>;
  check: (t: Assert, output: string, world: World, answer: (section: string) => unknown) => Promise<unknown> | unknown;
};

const FAILURE = 'demo: fails until an operator retries it';

/** By section and number of the block in it. */
export const STATIONS: Record<string, Station> = {
  'Service Health Check 1': {
    check: (t, output, _, answer) => t.same(differences(answer('Service Health Check'), documents(output)[0]), []),
  },
  'System Metrics 2': {
    check: (t, output, _, answer) => {
      const all = documents(output);
      t.equal(all.length, 2);
      for (const metrics of all) t.same(differences(answer('System Metrics'), metrics), []);
    },
  },
  'Recent Events 2': {
    check: (t, output, _, answer) => {
      const lists = documents(output) as { status: string }[][];
      for (const list of lists) t.same(differences(answer('Recent Events'), list), []);
      const statuses = lists.map((list) => [...new Set(list.map((event) => event.status))].sort());
      t.same(statuses, [['completed', 'dead_letter', 'pending'], ['dead_letter'], ['pending']]);
    },
  },
  'Dead Letter Queue 2': {
    check: (t, output, _, answer) => {
      const [list, first] = documents(output);
      t.same(differences(answer('Dead Letter Queue'), list), []);
      t.same(differences(answer('Dead Letter Queue'), [first]), []);
    },
  },
  'Monitoring Queue Health 1': {
    check: (t, output, _, answer) => {
      t.same(differences(answer('Queue Statistics'), documents(upTo(output, '}'))[0]), []);
      t.match(output, /^ dead_letter +\| +3$/m);
      t.match(output, /^ pending +\| +1$/m);
    },
  },
  'Queue Backlog Resolution 1': {
    check: (t, output) => t.equal(output, '1\n'),
  },
  'Acknowledging Alerts 1': {
    arrange: (world) => world.untilAlert('failure_rate_critical'),
    check: async (t, output, { db }) => {
      t.same(documents(output), [{ success: true, message: 'Alert acknowledged' }]);
      const alert = db.selectFrom('tds_alerts').selectAll().where('acknowledged_at', 'is not', null);
      t.match(await alert.execute(), [{ rule: 'failure_rate_critical', acknowledged_by: OPERATOR }]);
    },
  },
  'Retrying Failed Events 1': {
    arrange: async (world) => {
      await world.setPaused(false);
      await world.untilIdle();
      world.subject = (await world.deadLetter('9014')).id;
    },
    check: async (t, output, world, answer) => {
      const [newest, ...others] = documents(output) as Record<string, unknown>[];
      t.same(newest, { id: world.subject, event_type: 'contact.demo_failure', last_error: FAILURE });
      const retried = others.find((document) => 'success' in document);
      t.same(differences(answer('Retrying Failed Events'), retried), []);
      t.equal(retried?.queue_id, world.subject);
      t.match(others.at(-1), { id: world.subject, status: /^(pending|processing|completed)$/ });
      await world.untilCompleted(world.subject);
    },
  },
  'Bulk Retry Operations 1': {
    check: async (t, output, world) => {
      t.equal(output.match(/Retrying .*\n\{"success":true/g)?.length, 3);
      await world.untilIdle();
      const open = world.db.selectFrom('tds_dead_letter_queue').select('id').where('resolved_at', 'is', null);
      t.same(await open.execute(), []);
    },
  },
  'Purging Old Events 1': {
    arrange: (world) => world.agedEvent(),
    check: (t, output) => t.equal(output, 'DELETE 1\nDELETE 1\nVACUUM\nVACUUM\n'),
  },
  'Daily Health Check 1': {
    check: (t, output) => {
      const [summary, alerts] = documents(output);
      t.match(summary, { pending: 0, processing: 0, dlq: 0, success_rate: Number, alerts: Number });
      t.ok(Array.isArray(alerts));
    },
  },
  'Weekly Review 1': {
    arrange: (world) => world.deadLetter('9015'),
    check: (t, output, _, answer) => {
      t.same(documents(upTo(output, ']')), [[{ event_type: 'contact.demo_failure', count: 1 }]]);
      t.match(output, /^ tds_sync_queue +\| +\d+ kB$/m);
      const metrics = answer('System Metrics') as { processing: { last_hour: unknown } };
      t.same(differences(metrics.processing.last_hour, documents(from(output, '{\n  "total'))[0]), []);
    },
  },
  'Investigating Specific Event 1': {
    arrange: async (world) => {
      world.subject = (await world.deadLetter('9016')).eventId;
    },
    check: (t, output, { subject }) => {
      t.same(output.match(/^\(\d+ rows?\)$/gm), ['(1 row)', '(1 row)', '(3 rows)', '(1 row)']);
      t.ok((output.match(new RegExp(subject, 'g')) ?? []).length >= 6, 'one id in all four');
    },
  },
  'High Queue Backlog 1': {
    check: (t, output) => t.match(documents(output)[0], { total_processed: Number, success_rate_percent: Number }),
  },
  'High Failure Rate 1': {
    check: (t, output) => t.same(documents(output), [FAILURE, FAILURE, [{ error: FAILURE, count: 2 }]]),
  },
  'High Failure Rate 2': {
    check: (t, output) => {
      t.match(output, /^\(1 row\)$/m);
      t.match(documents(from(output, '{')), [{ table_sizes: Array, active_connections: Number }]);
    },
  },
  'Events Stuck in Processing 1': {
    arrange: async (world) => {
      world.subject = await world.stuckEvent();
    },
    check: (t, output, { subject }) =>
      t.match(output, new RegExp(`^ ${subject} \\| item.updated .*\n\\(1 row\\)`, 'm')),
  },
  'Events Stuck in Processing 2': {
    check: async (t, output, world) => {
      t.equal(output, 'UPDATE 1\n');
      await world.setPaused(false);
      await world.untilCompleted(world.subject);
    },
  },
  'Database Connection Pool Exhausted 1': {
    check: (t, output) => t.match(output, /^ +[1-9]\d*\n\(1 row\)\n\n[1-9]\d*\n$/m),
  },
  'Database Connection Pool Exhausted 2': {
    check: (t, output) => t.match(output, /pg_terminate_backend.*\n-+\n\(0 rows\)/),
  },
  'Total System Failure 1': {
    check: (t, output, _, answer) => {
      t.match(output, /^\(1 row\)$/m);
      const [health, metrics] = documents(from(output, '{'));
      t.same(differences(answer('Service Health Check'), health), []);
      t.same(differences(answer('System Metrics'), metrics), []);
    },
  },
  'Data Loss / Corruption 1': {
    check: (t, output, _, answer) => {
      t.match(output, /^ +[1-9]\d*\n\(1 row\)$/m);
      t.same(differences(answer('System Metrics'), documents(from(output, '{'))[0]), []);
    },
  },
};

/** The JSON documents of an output, which curl prints without a line end between them. */
export function documents(output: string): unknown[] {
  const { stdout, stderr } = spawnSync('jq', ['--slurp', '.'], { input: output, encoding: 'utf8' });
  if (stderr) throw new Error(`${stderr} in ${output}`);
  return JSON.parse(stdout);
}

const upTo = (output: string, end: string) => output.slice(0, output.indexOf(end) + 1);
const from = (output: string, start: string) => output.slice(output.indexOf(start));

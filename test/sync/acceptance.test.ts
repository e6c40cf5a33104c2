import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { Random } from '../faults/random.ts';
import { type TestDatabase, testDatabase, waitFor } from '../helper.ts';
import { ask, settled } from '../pipeline/zoho.ts';
import { end, type Running, startApi, startWorker } from '../system.ts';
import { Books, type Change, type Entry, type Kind } from '../zoho/books.ts';
import { StandIn } from '../zoho/stand-in.ts';
import { WebhookSender } from '../zoho/webhooks.ts';
import { disagreeing } from './mirroring.ts';
import type { Reconciled } from './stage.ts';

// The file's own time-out, which the runner else sets to less.
t.setTimeout(600_000);

const KINDS = ['item', 'salesorder', 'invoice', 'contact'] as const;
const RECORDS = { item: 19_000, salesorder: 900, invoice: 60, contact: 40 };
const CALLS_PER_MINUTE = 1000;
/** Longer than the webhooks take here: a refetch may see a change whose webhook is still to come. */
const GRACE_SECONDS = 300;

type Seen = { status: string; result: Reconciled; progress: { pages: number }; waits_for: string | null };

t.test(
  '20,000 records agree after one reconciliation, whatever was lost, failed or killed',
  { timeout: 1_200_000 },
  async (t) => {
    const random = new Random(20_000);
    const books = new Books().fill(RECORDS);
    const standIn = await StandIn.start(t, {
      books,
      limits: { callsPerMinute: CALLS_PER_MINUTE, callsPerDay: 1_000_000 },
    });
    const dataDir = mkdtempSync(path.join(tmpdir(), 'tds-pull-'));
    t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
    const database = await testDatabase(t);
    const settings = {
      ...{ DATABASE_URL: database.url, TDS_DATA_DIR: dataDir, ...standIn.environment, LOG_LEVEL: 'info' },
      ...{ SYNC_CHANGED_CRON: 'off', RECONCILE_CRON: 'off', LEASE_SECONDS: '2', RETRY_BASE_SECONDS: '0' },
      HOLE_GRACE_SECONDS: String(GRACE_SECONDS),
      ZOHO_CALLS_PER_MINUTE: String(CALLS_PER_MINUTE),
    };
    const api = await startApi(t, settings);
    const workers = await Promise.all([1, 2, 3].map(() => startWorker(t, settings)));
    const system = { ...database, api, worker: workers[0] as Running };

    const seen = (id: string) => ask<Seen>(system, `/dashboard/workflows/${id}`);
    const started = async (name: string) => {
      const answer = await fetch(`${api.url}/dashboard/workflows`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name, payload: { modules: KINDS } }),
      });
      t.equal(answer.status, 202);
      return ((await answer.json()) as { id: string }).id;
    };
    const ended = (id: string) =>
      waitFor(`${id} to end`, async () => ((await seen(id)).status === 'running' ? undefined : seen(id)), 400_000);

    /** kill -9 of the worker that has the run in hand, once it has read so many pages; another takes its place. */
    const killAt = async (id: string, pages: number) => {
      const pid = await waitFor(
        `page ${pages}`,
        async () => {
          const { rows } = await database.pool.query<{ pid: number }>(
            `select w.pid from tds_workflows r join tds_workers w using (worker_id)
           where r.id = $1 and (r.progress ->> 'pages')::int >= $2`,
            [id, pages],
          );
          return rows[0]?.pid;
        },
        200_000,
      );
      const victim = workers.find(({ child }) => child.pid === pid);
      if (!victim) throw new Error(`no worker has the process id ${pid}`);
      await end(victim.child, 'SIGKILL');
      workers[workers.indexOf(victim)] = await startWorker(t, settings);
    };

    standIn.faults.always(
      0.03,
      ['error-500', 'error-503', 'in-flight-limit', 'reset', 'cut-short', 'broken-json'],
      random,
    );
    standIn.faults.next('silence', 'page=20&', 1);
    const load = await started('SyncAll');
    await killAt(load, 30);
    t.equal((await ended(load)).status, 'completed');
    await settled(system, 120_000);

    const sender = new WebhookSender(books, {
      ...{ url: api.url, organizationId: standIn.organizationId, random },
      ...{ dropped: 0.05, doubled: 0.02, reordered: 0.02, partial: 0.05 },
    });
    change(books, random);
    await sender.flush();
    t.ok(sender.dropped.length > 10 && sender.partial.length > 10, 'webhooks were lost, and some say little');
    await settled(system, 120_000);

    const run = await started('Reconcile');
    await killAt(run, 20);
    await killAt(run, 60);
    const { status, result } = await ended(run);
    t.equal(status, 'completed');
    t.equal(result.verdict, 'repaired');
    for (const kind of KINDS) {
      const counts = result.modules[kind];
      const live = books.live(kind).length;
      t.match(counts, { records: live, agree: live, problems: [], withheld_deletions: 0 }, kind);
      t.same(await disagreeing(database, books, kind), [], `${kind}: the mirror equals Zoho, digit for digit`);
    }
    await database.pool.query(
      `update tds_pulled_changes set found_at = found_at - $1 * interval '1 second' where judged_at is null`,
      [GRACE_SECONDS],
    );
    const holes = await waitFor('all holes to be judged', () => judgedHoles(database), 120_000);
    t.same(holes, unannounced(sender), 'the holes are the changes whose webhooks were dropped, one by one');
    t.ok(holes.length > 10, `${holes.length} holes of ${sender.dropped.length} webhooks that were dropped`);
    const complete = await ask<{ module: string; records: number; holes: number; last_reconcile: object }[]>(
      system,
      '/dashboard/completeness',
    );
    for (const kind of KINDS) {
      const row = complete.find(({ module }) => module === kind);
      const expected = {
        records: books.live(kind).length,
        holes: holes.filter((hole) => hole.startsWith(kind)).length,
      };
      t.match(row, { ...expected, incomplete: 0, stale: 0, last_reconcile: { agree: books.live(kind).length } }, kind);
    }

    const faults = new Set(standIn.faults.happened);
    t.ok(faults.size >= 6, `faults happened: ${[...faults].join(', ')}`);
    t.same(standIn.limits.violations, [], `at most ${standIn.limits.mostInWindow} calls in a minute`);
    t.ok(standIn.limits.mostInFlight <= 5);

    standIn.faults.always(0, ['reset'], random);
    const before = standIn.requests.length;
    t.equal((await ended(await started('Reconcile'))).result.verdict, 'agrees');
    const calls = standIn.requests.slice(before);
    t.same(
      calls.filter(({ query }) => !query.has('page')).map(({ path }) => path),
      [],
      'no record was fetched',
    );
  },
);

/** Of every record whose last change nobody announced: `item 395…`. */
function unannounced({ dropped, announced }: WebhookSender): string[] {
  const last = new Map<string, Change>();
  for (const change of [...announced, ...dropped])
    if (isLater(change, last.get(change.entry.id))) last.set(change.entry.id, change);
  const missed = [...last.values()].filter((change) => !announced.some((one) => covers(one, change)));
  return missed.map(({ entry }) => `${entry.kind} ${entry.id}`).toSorted();
}

const isLater = (a: Change, b: Change | undefined) => b === undefined || rank(a) > rank(b);
const rank = ({ entry, action }: Change) => entry.revision + (action === 'deleted' ? 0.5 : 0);

/** A webhook tells of its record's version and all before it; only that of a deletion tells of one. */
function covers({ entry, action }: Change, missed: Change): boolean {
  if (entry.id !== missed.entry.id) return false;
  return missed.action === 'deleted' ? action === 'deleted' : entry.changedAt >= missed.entry.changedAt;
}

/** The holes, when nothing waits to be judged. */
async function judgedHoles({ pool }: TestDatabase): Promise<string[] | undefined> {
  const { rowCount } = await pool.query('select from tds_pulled_changes where judged_at is null limit 1');
  if (rowCount !== 0) return undefined;
  const { rows } = await pool.query<{ hole: string }>(`select module || ' ' || entity_id as hole from tds_holes`);
  return rows.map(({ hole }) => hole).toSorted();
}

/** Some records are made, many are changed, some twice, a few are deleted. */
function change(books: Books, random: Random): void {
  for (const kind of KINDS) {
    const entries = books.live(kind);
    const some = (share: number) => entries.filter(() => random.chance(share));
    for (let n = 0; n < entries.length / 200; n += 1) books.create(kind as Kind);
    for (const entry of some(0.03)) books.change(entry);
    for (const entry of some(0.01)) books.change(entry as Entry);
    for (const entry of some(0.005)) books.delete(entry);
  }
}

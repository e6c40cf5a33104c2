/** The R cases: what runs short, goes away or is wrong beneath us. */
import pg from 'pg';
import type { Test } from 'tap';
import { OwnPostgres } from '../api/postgres.ts';
import { waitFor } from '../helper.ts';
import { settled } from '../pipeline/zoho.ts';
import { startApi } from '../system.ts';
import { invoice } from './bodies.ts';
import { type Checks, shownBy } from './check.ts';
import { memoryOf } from './memory.ts';
import { type Answer, CURRENT_SECRET, get, post, type Target } from './send.ts';

const MEGABYTE = 1024 * 1024;
/** MemoryHigh of systemd/tds-core-api.service is above this. */
const MEMORY_LIMIT = 400 * MEGABYTE;

export const resources: Checks = {
  async R01(t, at) {
    const answers = await burst(at, 3000, 300);
    t.same(
      answers.filter(({ status }) => ![202, 429, 503].includes(status)).map(({ text }) => text),
      [],
    );
    const accepted = answers.filter(({ status }) => status === 202);
    t.ok(accepted.length > 0, `${accepted.length} of ${answers.length} were accepted`);
    t.ok(answers.filter(({ status }) => status !== 202).every(({ headers }) => headers['retry-after']));
    const ids = accepted.map(({ text }) => JSON.parse(text).event_id);
    const { rows } = await at.system.pool.query(
      'select count(*)::int as n from tds_inbox_events where event_id = any($1)',
      [ids],
    );
    t.equal(rows[0].n, ids.length, 'every 202 has its row');
    t.ok(memoryOf(at.system.api) < MEMORY_LIMIT, `${Math.round(memoryOf(at.system.api) / MEGABYTE)} MB`);
    await settled(at.system, 60_000);
  },
  async R02(t, at) {
    const postgres = await OwnPostgres.start(t, { max_connections: '10', superuser_reserved_connections: '0' });
    const target = await apiOver(t, at, postgres.tcpUrl);
    const clients = await holdAll(postgres.tcpUrl);
    const begun = performance.now();
    const answer = await post(target, { body: invoice('"total":1') });
    t.match(answer, { status: 503, headers: { 'retry-after': /^\d+$/ } });
    t.ok(performance.now() - begun < 2000, `after ${Math.round(performance.now() - begun)} ms`);
    await Promise.all(clients.map((client) => client.end()));
    const again = async () => (await post(target, { body: invoice('"total":2') })).status === 202;
    await waitFor('it to recover', again);
  },
  async R03(t, at) {
    const postgres = await OwnPostgres.start(t);
    const target = await apiOver(t, at, postgres.socketUrl);
    t.equal((await post(target, { body: invoice('"total":1') })).status, 202);
    await postgres.end('stop');
    t.match(await post(target, { body: invoice('"total":2') }), { status: 503, headers: { 'retry-after': /^\d+$/ } });
    t.equal((await get(target, '/health')).status, 200);
    t.equal((await get(target, '/readyz')).status, 503);
    await postgres.start();
    await waitFor('it to recover', async () => (await post(target, { body: invoice('"total":2') })).status === 202);
  },
  R05: shownBy('test/faults/disk.test.ts', 'a full disk under the data, and under the write-ahead log'),
  async R07(t, at) {
    for (const hours of [-1, 1]) {
      const target = await apiOver(t, at, at.system.url, { NODE_OPTIONS: `--import=${shiftedClock(hours)}` });
      const { text } = await post(target, { body: invoice(`"total":${hours}`) });
      await settled(at.system);
      const { rows } = await at.system.pool.query(
        "select status, queued_at between now() - interval '1 minute' and now() as now from tds_sync_queue where id = $1",
        [JSON.parse(text).event_id],
      );
      t.same(rows, [{ status: 'completed', now: true }], `the API's clock is ${hours} h off`);
    }
  },
};

/** As many deliveries of different records, so many at once. */
async function burst(at: Target, count: number, atOnce: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  let next = 0;
  const sender = async () => {
    while (next < count)
      answers.push(await post(at, { body: invoice(`"total":${next++}`).replace('"1"', `"${next}"`) }));
  };
  await Promise.all(Array.from({ length: atOnce }, sender));
  return answers;
}

async function apiOver(t: Test, at: Target, url: string, settings = {}): Promise<Target> {
  const api = await startApi(t, { DATABASE_URL: url, ZOHO_WEBHOOK_SECRET: CURRENT_SECRET, ...settings });
  return { ...at, url: api.url };
}

/** Takes every connection that a server has left. */
async function holdAll(url: string): Promise<pg.Client[]> {
  const held: pg.Client[] = [];
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    try {
      await client.connect();
      held.push(client);
    } catch {
      return held;
    }
  }
}

/** A module that shifts what a process believes to be the time. */
function shiftedClock(hours: number): string {
  const by = hours * 3_600_000;
  const source = `const R = Date; const by = ${by};
    globalThis.Date = class extends R { constructor(...a) { a.length ? super(...a) : super(R.now() + by); } static now() { return R.now() + by; } };`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

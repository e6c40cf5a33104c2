/** A PostgreSQL that is stopped, hangs, or has no connection left: somebody is told, and nothing needs a restart. */
import type pg from 'pg';
import t, { type Test } from 'tap';
import { openDatabase } from '../../../src/db/database.ts';
import { DatabaseWatch, probeOf } from '../../../src/monitor/notify/database-watch.ts';
import { composeMessages, sendDue } from '../../../src/monitor/notify/deliver.ts';
import { OwnPostgres } from '../../api/postgres.ts';
import { silentLog, waitFor } from '../../helper.ts';
import { notifyConfig, startReceiver } from './receiver.ts';

const postgres = await OwnPostgres.start(t, { max_connections: '12' });
const receiver = await startReceiver(t);
const config = notifyConfig({ ALERT_WEBHOOK_URL: receiver.url });
const open = openDatabase({ url: postgres.tcpUrl, max: 2, applicationName: 'tds-test' });
t.teardown(open.close);
const { db } = open;

/** A watch whose clock stands still until it is told to go on. */
function watching() {
  const clock = { now: Date.parse('2026-01-01T00:00:00Z') };
  const now = () => clock.now;
  const watch = new DatabaseWatch({ db, log: silentLog, config, probe: probeOf(postgres.tcpUrl), now });
  const after = async (seconds: number) => {
    clock.now += seconds * 1000;
    await watch.turn();
  };
  return { watch, after };
}

t.beforeEach(async () => {
  receiver.received.length = 0;
  receiver.answer = (response) => response.writeHead(204).end();
  await db.deleteFrom('tds_alerts').execute();
  await db.deleteFrom('tds_notifications').execute();
});

let held: pg.Client[] = [];
const WAYS: Record<string, [goes: () => unknown, comes: () => unknown]> = {
  'is stopped': [() => postgres.end('stop'), () => postgres.start()],
  hangs: [() => postgres.freeze(), () => postgres.thaw()],
  'has no connection left': [
    async () => {
      held = await postgres.useUp();
    },
    () => Promise.all(held.map((client) => client.end())),
  ],
};

for (const [how, [goes, comes]] of Object.entries(WAYS)) {
  t.test(`a PostgreSQL that ${how} is told without it, and its return with it`, async (t) => {
    const { after } = watching();
    await after(5);
    await goes();
    await after(5);
    await after(14);
    t.same(receiver.received, [], 'a hiccup is not told');
    await after(1);
    t.equal(receiver.received.length, 1);
    t.match(receiver.received[0]?.message, {
      type: 'alert.firing',
      text: /\[CRITICAL\] Database Away\* since 2026-01-01T00:00:10/,
      data: { alerts: [{ rule: 'database_away', runbook_url: 'docs/runbook.md#database_away' }] },
    });
    await after(3600);
    t.equal(receiver.received.length, 1, 'once');
    await after(3 * 3600);
    t.match(receiver.received[1]?.message, { type: 'alert.reminder' }, 'and again every four hours');
    await comes();
    await waitFor('the database', () => db.selectFrom('tds_alerts').select('id').execute());
    await after(5);
    await isRecorded(t);
  });
}

async function isRecorded(t: Test): Promise<void> {
  const rows = await db.selectFrom('tds_alerts').select(['rule', 'fired_at', 'resolved_at']).execute();
  t.match(rows, [{ rule: 'database_away', fired_at: new Date('2026-01-01T00:00:10Z') }], 'it stands in the history');
  t.ok(rows[0]?.resolved_at);
  await composeMessages(db, config);
  await sendDue(db, 'alerts', config);
  t.match(receiver.received.at(-1)?.message, {
    type: 'alert.resolved',
    text: /RESOLVED, was CRITICAL\] Database Away/,
  });
}

t.test(
  'what no receiver took while the database was away is sent when both are back, under the same key',
  async (t) => {
    const { after } = watching();
    receiver.answer = (response) => response.writeHead(502).end();
    await postgres.end('stop');
    for (const seconds of [5, 16, 5, 15]) await after(seconds);
    const keys = receiver.received.map(({ headers }) => headers['webhook-id']);
    t.equal(keys.length, 2, 'tried again');
    await postgres.start();
    await after(5);
    receiver.answer = (response) => response.writeHead(204).end();
    await sendDue(db, 'alerts', config);
    t.same([...new Set([...keys, receiver.received.at(-1)?.headers['webhook-id']])].length, 1);
    t.match(receiver.received.at(-1)?.message, { type: 'alert.firing' });
  },
);

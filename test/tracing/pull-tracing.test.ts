/** Traces of a pull as a collector receives them from a real worker. */
import t from 'tap';
import { startRun } from '../../src/workflows/start.ts';
import { Collector } from '../collector.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { startWorker } from '../system.ts';
import { Books } from '../zoho/books.ts';
import { StandIn } from '../zoho/stand-in.ts';

const CLIENT = 3; // SPAN_KIND_CLIENT of OTLP

t.test('each attempt at an activity is a trace with the calls of Zoho Books it makes', async (t) => {
  const collector = await Collector.start(t);
  const database = await testDatabase(t);
  const standIn = await StandIn.start(t, { books: new Books().fill({ item: 3 }) });
  standIn.faults.next('error-503', 'page=1&', 1);
  const asked = { definition: { name: 'SyncAllItems' }, organizationId: standIn.organizationId, payload: {} };
  const started = await database.db.transaction().execute((trx) => startRun(trx, asked, 'ann'));
  await startWorker(t, {
    ...{ DATABASE_URL: database.url, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, ...standIn.environment },
    ...{ TDS_DATA_DIR: t.testdir(), SYNC_CHANGED_CRON: 'off', RECONCILE_CRON: 'off' },
  });
  const status = async () =>
    (await database.pool.query('select status from tds_workflows where id = $1', [started.id])).rows[0].status;
  await waitFor('the run to end', async () => (await status()) === 'completed');

  const call = (code: number) =>
    collector.find(
      `of the call that was answered with ${code}`,
      ({ name, attributes }) => name.startsWith('GET ') && attributes['http.response.status_code'] === code,
    );
  const [refused, answered] = [await call(503), await call(200)];
  t.match(refused, { name: 'GET /items', kind: CLIENT, status: { code: 2 } });
  t.match(answered, { name: 'GET /items', kind: CLIENT, attributes: { 'url.template': '/items' } });
  t.not(refused.traceId, answered.traceId);
  for (const span of [refused, answered])
    t.same(collector.pathOf(span), ['tds-core-worker: GET /items', 'tds-core-worker: activity']);
  const activity = collector.spans.find(({ spanId }) => spanId === answered.parentSpanId);
  t.match(activity?.attributes, {
    ...{ 'tds.workflow': 'SyncAllItems', 'tds.workflow_id': started.id, 'tds.attempt': 2 },
  });
  t.ok(
    collector.spans.some(({ name, traceId }) => name === 'SELECT' && traceId === answered.traceId),
    'its statements are in the same trace',
  );
  t.notMatch(collector.text, /page=1|refresh_token/, 'neither queries nor secrets');
});

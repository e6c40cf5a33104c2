/** `tds workflow` against runs of a worker: a reconcile of a stand-in for Zoho Books, and one that fails at first. */
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { TaggedError } from '../../src/errors.ts';
import { syncDefinitions } from '../../src/sync/definitions.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import { apiOn, OPERATORS } from '../api/client.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { startMirroring } from '../sync/mirroring.ts';
import { stage } from '../sync/stage.ts';
import { testWorker, workflow } from '../workflows/engine.ts';
import { tds as runTds } from './tds.ts';

const database = await testDatabase(t);
const { books, standIn, client } = await stage(t, database, { item: 60 });
const { organizationId } = standIn;
let broken = true;
const definitions = [
  ...syncDefinitions(database.db, new Map([[organizationId, client]])),
  workflow('Fails At First', async () => {
    if (broken) throw new TaggedError('ValidationError', 'not yet');
    return { done: true };
  }),
];
const { api } = await apiOn(t, database, { operators: OPERATORS }, new Workflows(definitions));
const tdsUrl = await api.listen({ host: '127.0.0.1', port: 0 });

const config = { ...loadConfig({ NODE_ENV: 'test' }), tdsUrl, tdsToken: 'operator-token' };
const tds = async (...words: string[]) => {
  const { code, err, out } = await runTds(['workflow', ...words, '-o', 'json'], config);
  return { code, err, data: code === 0 ? JSON.parse(out) : null };
};

const started = async (name: string, payload: object) => {
  const { data, err } = await tds('start', name, '--payload', JSON.stringify(payload));
  if (!data) throw new Error(err);
  return data.id as string;
};
const ended = (id: string) =>
  waitFor(
    'the run to end',
    async () => {
      const { data } = await tds('show', id);
      return data.status === 'running' ? undefined : data;
    },
    60_000,
  );
const items = { organization_id: organizationId, modules: ['item'] };

t.test('a run is paused, resumed and terminated', async (t) => {
  const id = await started('Reconcile', items);
  t.match(await tds('start', 'Reconcile', '--payload', JSON.stringify(items)), { code: 1, err: /running/ });
  t.match((await tds('pause', id)).data, { id, status: 'paused' });
  t.match((await tds('resume', id)).data, { id, status: 'running' });
  t.match(await tds('terminate', id), { code: 2, err: /add --yes/ });
  t.match((await tds('terminate', id, '--yes')).data, { id, status: 'terminated' });
  t.match(await tds('resume', id), { code: 1, err: /terminated/ });
  t.match((await tds('list', '--status', 'terminated')).data, [{ id, name: 'Reconcile' }]);
});

t.test('what a reconcile withheld is approved, and applied by the run that follows', async (t) => {
  startMirroring(t, database);
  await testWorker(t, database, definitions);
  const plan = await tds('start', 'Reconcile', '--payload', JSON.stringify(items), '--dry-run');
  t.match(plan.data, { calls: Number });
  const first = await ended(await started('Reconcile', items));
  t.match(first, { status: 'completed', activities: [{ status: 'completed' }] });
  t.match(await tds('approve', first.id, '--reason', 'x', '--yes'), { code: 1, err: /nothing to approve/ });

  for (const entry of books.live('item').slice(0, 30)) books.delete(entry);
  const withheld = await ended(await started('Reconcile', items));
  t.equal(withheld.result.verdict, 'withheld');
  t.match(await tds('approve', withheld.id, '--yes'), { code: 2, err: /needs --reason/ });
  const approved = await tds('approve', withheld.id, '--reason', 'deleted on purpose', '--yes');
  t.match(approved.data, { name: 'Reconcile', status: 'running' });
  t.equal((await ended(approved.data.id)).result.verdict, 'repaired');
  t.match(await tds('approve', withheld.id, '--reason', 'x', '--yes'), { code: 1, err: /approved before/ });
});

t.test('a run that failed goes on by a retry', async (t) => {
  await testWorker(t, database, definitions);
  const id = await started('Fails At First', {});
  t.match(await ended(id), { status: 'failed', result: { tag: 'ValidationError', message: /not yet/ } });
  broken = false;
  t.match(await tds('retry', id), { code: 2, err: /add --yes/ }, 'a permanent failure is asked about');
  t.match((await tds('retry', id, '--yes')).data, { id });
  t.match(await ended(id), { status: 'completed', result: { done: true } });
});

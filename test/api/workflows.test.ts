import { sql } from 'kysely';
import t from 'tap';
import { Type } from 'typebox';
import { TaggedError } from '../../src/errors.ts';
import { claimRun } from '../../src/workflows/claim.ts';
import { completeRun, failRun } from '../../src/workflows/finish.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import type { CompletedRun, WorkflowDefinition } from '../../src/workflows/workflow.ts';
import { PLAN, pages } from '../workflows/engine.ts';
import { as, OPERATORS, testApi } from './client.ts';

const reconcile: WorkflowDefinition = {
  ...pages('Reconcile', 1),
  payload: Type.Object(
    { modules: Type.Optional(Type.Array(Type.Enum(['invoice', 'bill']))) },
    { additionalProperties: false },
  ),
  async plan(_organization, payload) {
    if ((payload as { modules?: string[] }).modules?.includes('bill'))
      throw new TaggedError('NetworkError', 'Zoho is away.');
    return PLAN;
  },
  approve({ id, result }: CompletedRun) {
    const withheld = (result as { verdict?: string }).verdict === 'withheld';
    return withheld ? { name: 'ApplyDeletions', payload: { organization_id: '10', run: id } } : null;
  },
};
const apply = { ...pages('ApplyDeletions', 1), payload: Type.Object({ run: Type.String() }) };
const workflows = new Workflows([reconcile, apply, pages('SyncAll', 1)], ['10', '11']);
const { api, db } = await testApi(t, { operators: OPERATORS, defaultOrganization: '10' }, workflows);

const post = (url: string, payload: object = {}, operator = 'operator') =>
  api.inject({ method: 'POST', url: `/dashboard/workflows${url}`, payload, headers: as(operator) });
const get = (url: string) => api.inject({ url: `/dashboard/workflows${url}`, headers: as('viewer') });
const started = async (payload: object = {}) => (await post('', { name: 'Reconcile', payload })).json().id as string;
const claimed = async () => {
  const held = await claimRun(db, '00000000-0000-4000-8000-000000000001', workflows.names);
  if (!held) throw new Error('nothing to claim');
  return held;
};
const FAILURE = { message: 'no such field', tag: 'ValidationError' as const, cause: [] };

t.beforeEach(async () => {
  await sql`truncate tds_workflows cascade`.execute(db);
});

t.test('a workflow is started, and is there at once', async (t) => {
  const answer = await post('', { name: 'Reconcile', payload: { modules: ['invoice'] } });
  t.equal(answer.statusCode, 202);
  t.match(answer.json(), {
    name: 'Reconcile',
    organization_id: '10',
    status: 'running',
    payload: { organization_id: '10', modules: ['invoice'] },
    result: null,
    progress: { module: null, records: 0, records_total: null, pages: 0, calls: 0 },
    waits_for: 'A free worker.',
    started_by: 'operator',
  });
  const one = await get(`/${answer.json().id}`);
  t.match(one.json(), {
    ...answer.json(),
    activities: [],
    activity_count: 0,
    log: [{ message: 'started by operator' }],
  });
  const { rows } = await sql`select action, target, result, detail from tds_audit_log order by id desc limit 1`.execute(
    db,
  );
  t.match(rows, [
    { action: 'workflow.start', target: answer.json().id, result: 'started', detail: { name: 'Reconcile' } },
  ]);
});

t.test('of one name and organization one is under way', async (t) => {
  const id = await started();
  const second = await post('', { name: 'Reconcile' });
  t.match(second.json(), { status: 409, code: 'already_running', detail: new RegExp(`${id} .* running: .*terminate`) });
  t.equal((await post('', { name: 'Reconcile', payload: { organization_id: '11' } })).statusCode, 202);
  t.equal((await post('', { name: 'SyncAll' })).statusCode, 202);
  const races = await Promise.all(
    [1, 2, 3, 4].map(() => post('', { name: 'SyncAll', payload: { organization_id: '11' } })),
  );
  t.same(races.map(({ statusCode }) => statusCode).sort(), [202, 409, 409, 409]);
});

t.test('what cannot be started is refused with what to send instead', async (t) => {
  const cases: [body: object, code: string, detail: RegExp][] = [
    [
      { name: 'Reconcil' },
      'unknown_workflow',
      /Did you mean Reconcile\? They are Reconcile, ApplyDeletions, SyncAll\./,
    ],
    [
      { name: 'Reconcile', payload: { module: ['invoice'] } },
      'invalid_payload',
      /Remove payload\.module: .* organization_id, modules\./,
    ],
    [{ name: 'Reconcile', payload: { modules: ['incoice'] } }, 'invalid_payload', /payload\.modules\.0.*invoice, bill/],
    [{ name: 'Reconcile', payload: { modules: 'invoice' } }, 'invalid_payload', /payload\.modules: it must be array/],
    [{ name: 'Reconcile', payload: [] }, 'invalid_payload', /JSON object/],
    [{ name: 'Reconcile', payload: { organization_id: 10 } }, 'invalid_payload', /organization_id as a string/],
    [{ name: 'Reconcile', payload: { organization_id: '12' } }, 'unknown_organization', /connected: 10, 11/],
    [{ name: 'SyncAll', payload: { note: '\u0000' } }, 'invalid_payload', /NUL/],
    [{ name: 'SyncAll', payload: { note: 'x'.repeat(66_000) } }, 'payload_too_large', /./],
    [{}, 'invalid_request', /name/],
  ];
  for (const [body, code, detail] of cases) {
    for (const query of ['', '?dry_run=true']) {
      const answer = await post(query, body);
      t.match(answer.json(), { code, detail }, JSON.stringify(body).slice(0, 80));
      t.ok(answer.statusCode >= 400 && answer.statusCode < 500);
    }
  }
});

t.test('a dry run answers the plan and starts nothing', async (t) => {
  const answer = await post('?dry_run=true', { name: 'Reconcile' });
  t.equal(answer.statusCode, 200);
  t.same(answer.json(), PLAN);
  t.same((await get('')).json(), []);
  const away = await post('?dry_run=true', { name: 'Reconcile', payload: { modules: ['bill'] } });
  t.match(away.json(), { status: 503, code: 'plan_unavailable', detail: /Zoho is away\./ });
});

t.test('pause, resume, retry and terminate answer the workflow, or a 409 that says what to do', async (t) => {
  const id = await started();
  const deed = async (what: string) => (await post(`/${id}/${what}`)).json();
  t.match(await deed('resume'), { status: 409, code: 'wrong_state', detail: /is running/ });
  t.match(await deed('pause'), { id, status: 'paused', waits_for: null });
  t.match(await deed('pause'), { status: 409, detail: /resume it/ });
  t.match(await deed('retry'), { status: 409, detail: /resume it/ });
  t.match(await deed('resume'), { status: 'running' });
  await failRun(db, await claimed(), FAILURE);
  t.match(await deed('resume'), { status: 409, detail: /retry it/ });
  t.match(await deed('retry'), { status: 'running', result: null });
  t.match(await deed('terminate'), { status: 'terminated' });
  t.match(await deed('retry'), { status: 409, detail: /start a new run/ });
  t.match(
    (await get(`/${id}`)).json().log.map(({ message }: { message: string }) => message),
    [
      'started by operator',
      'paused by operator',
      'resumed by operator',
      'failed: no such field',
      'retried by operator',
      'terminated by operator',
    ],
  );
  const { rows } = await sql<{ result: string }>`
    select result from tds_audit_log where target = ${id} and action = 'workflow.retry' order by id`.execute(db);
  t.same(
    rows.map(({ result }) => result),
    ['conflict', 'done', 'conflict'],
  );
});

t.test('a failed run cannot be retried while another one is under way', async (t) => {
  const id = await started();
  await failRun(db, await claimed(), FAILURE);
  const other = await started();
  t.match((await post(`/${id}/retry`)).json(), { status: 409, detail: new RegExp(other) });
  t.equal((await post(`/${other}/terminate`)).statusCode, 200);
  t.equal((await post(`/${id}/retry`)).statusCode, 200);
});

t.test('what a run withheld is approved once, with a reason', async (t) => {
  const id = await started();
  const reason = { reason: 'Deleted in Zoho on purpose.' };
  t.match((await post(`/${id}/approve`, reason)).json(), { status: 409, code: 'nothing_withheld' });
  await completeRun(db, await claimed(), { verdict: 'withheld' });
  t.match((await post(`/${id}/approve`, {})).json(), { status: 400 });
  const answers = await Promise.all([1, 2, 3].map(() => post(`/${id}/approve`, reason)));
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [202, 409, 409]);
  const applying = answers.find(({ statusCode }) => statusCode === 202)?.json();
  t.match(applying, { name: 'ApplyDeletions', payload: { run: id }, status: 'running' });
  t.match((await post(`/${id}/approve`, reason)).json(), { code: 'already_approved', detail: new RegExp(applying.id) });
  t.match((await get(`/${id}`)).json(), { approved_as: applying.id });
  const { rows } =
    await sql`select detail from tds_audit_log where action = 'workflow.approve' and result = 'started'`.execute(db);
  t.match(rows, [{ detail: reason }]);
});

t.test('the list is filtered, searched and paged', async (t) => {
  const ids = [await started(), await started({ organization_id: '11', modules: ['bill'] })];
  ids.push((await post('', { name: 'SyncAll' })).json().id);
  await failRun(db, await claimed(), FAILURE);
  const found = async (query: string) => {
    const answer = await get(query);
    t.equal(Number(answer.headers['x-total-count']), answer.json().length, query);
    return answer.json().map(({ id }: { id: string }) => id);
  };
  t.same(await found(''), ids.toReversed(), 'newest first');
  t.same(await found('?status=failed'), [ids[0]]);
  t.same(await found('?status=running&name=Reconcile'), [ids[1]]);
  t.same(await found('?q=such%20FIELD'), [ids[0]], 'by the error');
  t.same(await found('?q=bill'), [ids[1]], 'by the payload');
  t.same(await found(`?q=${ids[2]}`), [ids[2]], 'by the id');
  t.same(await found('?q=nothing'), []);
  const first = await get('?limit=2');
  t.equal(first.headers['x-total-count'], '3');
  const second = await get(`?limit=2&cursor=${first.headers['x-next-cursor']}`);
  t.same(
    [...first.json(), ...second.json()].map(({ id }) => id),
    ids.toReversed(),
  );
  t.equal(second.headers['x-next-cursor'], undefined);
  t.match((await get('?status=done')).json(), {
    status: 400,
    detail: /running, paused, completed, failed, terminated/,
  });
});

t.test('viewers read only, and what is not there is a 404', async (t) => {
  t.equal((await post('', { name: 'Reconcile' }, 'viewer')).statusCode, 403);
  const id = '00000000-0000-4000-8000-000000000009';
  for (const deed of ['pause', 'resume', 'retry', 'terminate']) {
    t.equal((await post(`/${id}/${deed}`, {}, 'viewer')).statusCode, 403);
    t.match((await post(`/${id}/${deed}`)).json(), { status: 404, code: 'not_found' });
  }
  t.match((await post(`/${id}/approve`, { reason: 'x' })).json(), { status: 404 });
  t.match((await get(`/${id}`)).json(), { status: 404 });
  t.match((await get('/1')).json(), { status: 400 });
});

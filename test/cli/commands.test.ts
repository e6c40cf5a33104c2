/** Every command: its help, its answer as JSON, a wrong argument, and the same result over both transports. */
import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { Value } from 'typebox/value';
import { COMMANDS } from '../../src/cli/program.ts';
import { addAlert, addDeadLetter } from '../api/client.ts';
import { arrive, registerWorker } from '../queue/engine.ts';
import { cliOn } from './tds.ts';

const { db, pool, api, HTTP, LOCAL, tds } = await cliOn(t);

/** What stands for the ids in the lines below, made anew for each command. */
const IDS: Record<string, () => Promise<string>> = {
  '<dead>': () => addDeadLetter(db),
  '<waiting>': async () => (await arrive(pool, [randomUUID()]))[0] as string,
  '<quarantined>': async () => {
    const id = (await arrive(pool, [randomUUID()]))[0] as string;
    await tds(['events', 'quarantine', id, '--reason', 'x']);
    return id;
  },
  '<discarded>': async () => {
    const id = await addDeadLetter(db);
    await tds(['dlq', 'discard', id, '--reason', 'x']);
    return id;
  },
  '<alert>': () => addAlert(db),
  '<name>': async () => `ann-${randomUUID()}`,
  '<token>': async () => JSON.parse((await tds(['token', 'create', randomUUID(), '-o', 'json'])).out).id,
  '<failed>': async () => {
    const { rows } = await pool.query<{ id: string }>(`
      insert into tds_workflows (name, organization_id, status, payload, result, progress, started_by)
      values ('SyncAll', '10', 'failed', '{}', '{"message":"no","tag":"NetworkError"}', 
        '{"module":null,"records":0,"records_total":null,"pages":0,"calls":0}', 'ann')
      returning id`);
    return rows[0]?.id ?? '';
  },
  '<run>': async () =>
    JSON.parse((await tds(['dlq', 'retry', await addDeadLetter(db), '--max-failures', '20', '-y', '-o', 'json'])).out)
      .id,
};

type Line = { words: string; route?: string; code?: number };

/** A command line for each command, and the route whose schema its JSON has. */
const LINES: Record<string, Line> = {
  status: { words: 'status', route: 'get /dashboard/metrics' },
  check: { words: 'check' },
  doctor: { words: 'doctor', route: 'get /dashboard/doctor', code: 1 },
  completeness: { words: 'completeness', route: 'get /dashboard/completeness' },
  'events list': { words: 'events list --status failed --since 2h', route: 'get /dashboard/recent-events' },
  'events show': { words: 'events show <waiting>' },
  'events why': { words: 'events why <waiting>', route: 'get /dashboard/events/{id}' },
  'events replay': { words: 'events replay <dead> --reason fixed', route: 'post /api/admin/events/{id}/replay' },
  'events quarantine': {
    words: 'events quarantine <waiting> --reason twice',
    route: 'post /api/admin/events/{id}/quarantine',
  },
  'events release': { words: 'events release <quarantined>', route: 'post /api/admin/events/{id}/release' },
  'dlq list': { words: 'dlq list --since 1h', route: 'get /dashboard/dead-letter' },
  'dlq groups': { words: 'dlq groups', route: 'get /dashboard/dead-letter/groups' },
  'dlq show': { words: 'dlq show <dead>', route: 'get /dashboard/dead-letter/{id}' },
  'dlq retry': { words: 'dlq retry <dead>', route: 'post /dashboard/dead-letter/{id}/retry' },
  'dlq discard': {
    words: 'dlq discard <dead> --reason garbage',
    route: 'post /dashboard/dead-letter/{id}/discard',
  },
  'dlq restore': { words: 'dlq restore <discarded>' },
  'dlq edit': {
    words: 'dlq edit <dead> --set /contact_name=Example --set /total=1.50 --reason typo',
    route: 'post /dashboard/dead-letter/{id}/edit',
  },
  'dlq runs': { words: 'dlq runs', route: 'get /dashboard/dead-letter/retries' },
  'dlq run': { words: 'dlq run <run>', route: 'get /dashboard/dead-letter/retries/{id}' },
  'dlq pause': { words: 'dlq pause <run>', route: 'post /dashboard/dead-letter/retries/{id}/pause' },
  'dlq resume': { words: 'dlq resume <run>', code: 1 },
  'dlq cancel': { words: 'dlq cancel <run>', route: 'post /dashboard/dead-letter/retries/{id}/cancel' },
  'queue stats': { words: 'queue stats', route: 'get /dashboard/queue-stats' },
  'queue pause': { words: 'queue pause --reason test', route: 'post /dashboard/queue/pause' },
  'queue resume': { words: 'queue resume', route: 'post /dashboard/queue/resume' },
  'queue process-pending': { words: 'queue process-pending', route: 'post /api/jobs/process-pending' },
  'queue release-stuck': { words: 'queue release-stuck --yes', route: 'post /dashboard/queue/release-stuck' },
  'queue purge': { words: 'queue purge --days 90 --yes', route: 'post /dashboard/queue/purge' },
  'queue rebuild': { words: 'queue rebuild --dry-run', route: 'post /dashboard/queue/rebuild' },
  'sync health': { words: 'sync health', route: 'get /dashboard/sync/health' },
  'sync overview': { words: 'sync overview', route: 'get /dashboard/sync/overview' },
  'sync events': { words: 'sync events --limit 20 --status failed', route: 'get /dashboard/sync/events' },
  'sync webhooks': { words: 'sync webhooks', route: 'get /dashboard/sync/webhooks' },
  'sync metrics': { words: 'sync metrics --period hour', route: 'get /dashboard/sync/metrics' },
  'sync timeline': { words: 'sync timeline --hours 2', route: 'get /dashboard/sync/timeline' },
  'sync errors': { words: 'sync errors --include-resolved', route: 'get /dashboard/sync/errors' },
  'sync performance': { words: 'sync performance', route: 'get /dashboard/sync/performance' },
  'sync resolve': { words: 'sync resolve <failed>', route: 'post /dashboard/sync/errors/{id}/resolve' },
  'alerts list': { words: 'alerts list', route: 'get /dashboard/alerts' },
  'alerts test': { words: 'alerts test', code: 1 },
  'alerts ack': { words: 'alerts ack <alert>', route: 'post /dashboard/alerts/{id}/acknowledge' },
  'workers list': { words: 'workers list', route: 'get /dashboard/workers' },
  'workers drain': { words: 'workers drain --yes', route: 'post /dashboard/workers/drain' },
  'audit list': { words: 'audit list --since 7d --limit 5', route: 'get /dashboard/audit' },
  'token list': { words: 'token list', route: 'get /dashboard/tokens' },
  'token create': { words: 'token create <name> --role viewer --days 30' },
  'token revoke': { words: 'token revoke <token> --yes', route: 'post /dashboard/tokens/{id}/revoke' },
  'audit verify': { words: 'audit verify', route: 'get /dashboard/audit/verify' },
  export: { words: 'export dead_letters --format json' },
  'zoho connect': { words: 'zoho connect', code: 2 },
  'zoho check': { words: 'zoho check', code: 2 },
  'zoho whoami': { words: 'zoho whoami', code: 2 },
  'zoho register-webhooks': { words: 'zoho register-webhooks', code: 2 },
  'zoho quota': { words: 'zoho quota' },
  'zoho explain-signature': { words: 'zoho explain-signature --file package.json', code: 1 },
  'views refresh': { words: 'views refresh' },
  'migrate status': { words: 'migrate status' },
  'migrate up': { words: 'migrate up --yes' },
  'config show': { words: 'config show' },
  completion: { words: 'completion bash' },
};

const { paths } = (await api.inject({ url: '/docs/json', headers: { authorization: 'Bearer admin-token' } })).json();

async function withIds(words: string): Promise<string[]> {
  return Promise.all(words.split(' ').map(async (word) => (await IDS[word]?.()) ?? word));
}

/** The schema of a route's 200 or 202, as the API describes itself. */
function schemaOf(route: string): object {
  const [method = '', path = ''] = route.split(' ');
  const { responses } = paths[path][method];
  return responses[200].content['application/json'].schema;
}

// So that no list is empty.
await addDeadLetter(db);
await addAlert(db);
await registerWorker(pool, 3600);
await arrive(pool, [randomUUID()]);
await IDS['<run>']?.();
await pool.query(`insert into tds_zoho_quota (organization_id, day_limit, day_remaining) values ('10', 1000, 7)`);

t.test('every command has a line here', async (t) => {
  const without = COMMANDS.map(({ name }) => name).filter((name) => !name.startsWith('workflow '));
  t.same(Object.keys(LINES).toSorted(), without.toSorted());
});

for (const { name, args = [], reads } of COMMANDS) {
  t.test(`tds ${name}`, async (t) => {
    const words = name.split(' ');
    const help = await tds([...words, '--help']);
    t.match([help.code, help.err], [0, '']);
    t.match(help.out, /Examples:\n +.*tds /, 'with an example');

    const wrong = await tds([...words, ...args.map(() => 'x'), '--nonsense']);
    t.match([wrong.code, wrong.out], [2, ''], 'a wrong argument is exit code 2');
    t.match(wrong.err, /unknown option '--nonsense'[\s\S]*--help/);
    if (args[0]?.[0].startsWith('<')) t.match(await tds(words), { code: 2, err: /missing required argument/ });

    const line = LINES[name];
    if (line) await comparesBoth(t, line, reads ? ['jsonl', 'csv', 'table'] : []);
  });
}

async function comparesBoth(t: Test, { words, route, code = 0 }: Line, formats: string[]): Promise<void> {
  const shapes: unknown[] = [];
  for (const config of [HTTP, LOCAL]) {
    const ran = await tds([...(await withIds(words)), '-o', 'json'], config);
    t.equal(ran.code, code, ran.err);
    if (code !== 0) return;
    const data = JSON.parse(ran.out);
    if (route) t.same([...Value.Errors(schemaOf(route), data)], [], route);
    shapes.push(shapeOf(data));
    for (const format of formats)
      t.match(await tds([...(await withIds(words)), '-o', format], config), { code, out: /./ }, format);
  }
  t.same(shapes[0], shapes[1], 'the same over both transports');
}

/** Keys and kinds, without what differs from call to call. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, of === null ? 'null' : shapeOf(of)]));
}

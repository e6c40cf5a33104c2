import { type ErrorTag, isPermanentByDefault } from '../../errors/tagged.ts';
import { type Command, UsageError } from '../command.ts';
import { readList } from '../pages.ts';
import { readNumber, readTime } from '../since.ts';
import type { Transport } from '../transport.ts';
import { uuid } from './events.ts';

const alertsList: Command = {
  name: 'alerts list',
  summary: 'Alerts and their history, latest first',
  examples: ['tds alerts list --state firing', 'tds alerts list --since 7d -o json'],
  options: [
    ['--state <state>', 'pending, firing, acknowledged or resolved (default: all)'],
    ['--since <time>', 'that began since, such as 7d'],
    ['--limit <n>', 'at most so many (default: 50)'],
  ],
  reads: true,
  async run({ api, options }) {
    const since = readTime('since', options.since as string | undefined);
    const limit = readNumber('limit', (options.limit as string) ?? '50', 1, 100_000);
    const query = { state: options.state as string | undefined };
    const columns = ['id', 'state', 'severity', 'title', 'since', 'acknowledged_by', 'message'];
    const alerts = await readList<{ since: string }>(await api(), '/dashboard/alerts', { limit, query });
    return { data: alerts.filter((alert) => !since || Date.parse(alert.since) >= since.getTime()), columns };
  },
};

const alertsTest: Command = {
  name: 'alerts test',
  summary: 'Send a test notification to every receiver that is set up',
  examples: ['tds alerts test'],
  async run({ api, say }) {
    const data = (await (await api()).post('/dashboard/alerts/test')) as { message: string; channels: string[] };
    say(`${data.message}: ${data.channels.join(', ')}`);
    return { data };
  },
};

const alertsAck: Command = {
  name: 'alerts ack',
  summary: 'Silence an alert until its condition clears or grows worse',
  examples: ['tds alerts ack 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04'],
  args: [['<id>', 'id of the alert, as tds alerts list shows it']],
  async run({ api, say }, [id = '']) {
    const data = (await (await api()).post(`/dashboard/alerts/${uuid(id)}/acknowledge`)) as { message: string };
    say(data.message);
    return { data };
  },
};

const workersList: Command = {
  name: 'workers list',
  summary: 'Workers of the last day: which live, and what they have in hand',
  examples: ['tds workers list', 'tds workers list --watch 5'],
  reads: true,
  run: async ({ api }) => ({
    data: await (await api()).get('/dashboard/workers'),
    columns: [
      'worker_id',
      'state',
      'host',
      'pid',
      'version',
      'in_flight',
      'concurrency',
      'heartbeat_at',
      'started_at',
      'drained_by',
    ],
  }),
};

const workersDrain: Command = {
  name: 'workers drain',
  summary: 'Let a worker, or all that run now, finish what they hold and claim nothing more; --resume takes it back',
  args: [['[worker]', 'id of one worker; without it, all']],
  examples: [
    'tds workers drain --yes --reason "new release"',
    'tds workers drain 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --yes',
    'tds workers drain --resume --yes',
  ],
  options: [
    ['--resume', 'let them claim again'],
    ['--reason <text>', 'why, for the audit log'],
  ],
  confirms: true,
  async run(context, [worker]) {
    const { resume, reason } = context.options;
    const whom = worker === undefined ? 'all workers that run now' : `worker ${worker}`;
    const question = resume ? `Let ${whom} claim again?` : `Let ${whom} claim nothing more?`;
    if (!(await context.confirm(question))) return { data: null, rows: [], exitCode: 1 };
    const path = `/dashboard/workers/${resume ? 'resume' : 'drain'}`;
    const data = (await (await context.api()).post(path, {}, { worker_id: worker, reason })) as { workers: number };
    context.say(resume ? 'They claim again.' : 'tds workers list shows what they still have in hand.');
    return { data };
  },
};

type Entry = { created_at: string };

const auditList: Command = {
  name: 'audit list',
  summary: 'What operators did, latest first',
  examples: ['tds audit list --since 7d', 'tds audit list --limit 1000 -o csv'],
  options: [
    ['--since <time>', 'since then, such as 7d'],
    ['--limit <n>', 'at most so many (default: 50)'],
  ],
  reads: true,
  async run({ api, options }) {
    const since = readTime('since', options.since as string | undefined);
    const limit = readNumber('limit', (options.limit as string) ?? '50', 1, 100_000);
    const enough = (entry: Entry) => since !== undefined && Date.parse(entry.created_at) < since.getTime();
    const columns = ['created_at', 'operator', 'action', 'target', 'result', 'reason', 'before', 'after'];
    return { data: await readList<Entry>(await api(), '/dashboard/audit', { limit, enough }), columns };
  },
};

type Verdict = {
  verdict: 'intact' | 'broken';
  entries: number;
  head: { id: string; hash: string };
  problems: { message: string }[];
};

const auditVerify: Command = {
  name: 'audit verify',
  summary: 'Check the hash chain of the audit log; exit code 1 when it is broken',
  examples: ['tds audit verify', `tds audit verify --head 1204:${'9f86d081884c7d65'.repeat(4)}`],
  options: [['--head <id:hash>', 'the end of the log as it was noted earlier: shows that nothing was written anew']],
  reads: true,
  async run({ api, options, say }) {
    const data = (await (await api()).get('/dashboard/audit/verify', headOf(options.head as string))) as Verdict;
    for (const { message } of data.problems) say(message);
    const { id, hash } = data.head;
    const text = `${data.verdict}: ${data.entries} entries, head ${id}:${hash}\n`;
    return { data, text, exitCode: data.verdict === 'intact' ? 0 : 1 };
  },
};

function headOf(text: string | undefined): { id?: string; hash?: string } {
  if (text === undefined) return {};
  const [, id, hash] = /^([1-9]\d{0,17}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (id && hash) return { id, hash };
  throw new UsageError('--head takes number and hash of an entry, such as 1204:<64 hexadecimal digits>');
}

const WORKFLOW_COLUMNS = ['id', 'name', 'status', 'created_at', 'updated_at'];
const WORKFLOW_ID: [string, string] = ['<id>', 'id of the workflow, as tds workflow list shows it'];

const workflowList: Command = {
  name: 'workflow list',
  summary: 'Workflows, latest first',
  examples: ['tds workflow list --status failed', 'tds workflow list --name Reconcile -o json'],
  options: [
    ['--status <status>', 'running, paused, completed, failed or terminated'],
    ['--name <name>', 'of this name'],
    ['--limit <n>', 'at most so many (default: 50)'],
  ],
  reads: true,
  async run({ api, options }) {
    const limit = readNumber('limit', (options.limit as string) ?? '50', 1, 100_000);
    const query = { status: options.status as string | undefined, name: options.name as string | undefined };
    return { data: await readList(await api(), '/dashboard/workflows', { limit, query }), columns: WORKFLOW_COLUMNS };
  },
};

const workflowShow: Command = {
  name: 'workflow show',
  summary: 'A workflow with its activities and its log',
  examples: ['tds workflow show 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 -o json'],
  args: [WORKFLOW_ID],
  reads: true,
  run: async ({ api }, [id = '']) => ({ data: await (await api()).get(`/dashboard/workflows/${uuid(id)}`) }),
};

const workflowStart: Command = {
  name: 'workflow start',
  summary: 'Start a workflow',
  examples: [
    `tds workflow start Reconcile --payload '{"organization_id":"10234695","modules":["invoice"]}' --dry-run`,
    `tds workflow start SyncAllInvoices --payload '{"organization_id":"10234695"}'`,
  ],
  args: [['<name>', 'such as SyncAll, SyncChanged or Reconcile']],
  options: [['--payload <json>', 'what it is started with (default: {})']],
  plans: true,
  async run({ api, options }, [name = '']) {
    const body = { name, payload: payloadOf((options.payload as string) ?? '{}') };
    const query = options.dryRun ? { dry_run: true } : {};
    return { data: await (await api()).post('/dashboard/workflows', query, body) };
  },
};

function payloadOf(text: string): object {
  try {
    const payload = JSON.parse(text);
    if (typeof payload === 'object' && payload !== null && !Array.isArray(payload)) return payload;
  } catch {
    // Said below.
  }
  throw new UsageError(`--payload takes a JSON object, such as '{"organization_id":"10234695"}'`);
}

type Question = (api: Transport, id: string) => Promise<string | null>;

const workflowDeed = (what: 'pause' | 'resume' | 'terminate' | 'retry', summary: string, ask?: Question): Command => ({
  name: `workflow ${what}`,
  summary,
  examples: [`tds workflow ${what} 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04`],
  args: [WORKFLOW_ID],
  ...(ask ? { confirms: true } : {}),
  async run({ api, confirm }, [id = '']) {
    const path = `/dashboard/workflows/${uuid(id)}/${what}`;
    const question = (await ask?.(await api(), id)) ?? null;
    if (question !== null && !(await confirm(question))) return { data: null, rows: [], exitCode: 1 };
    return { data: await (await api()).post(path), columns: WORKFLOW_COLUMNS };
  },
});

const askBeforeEnd: Question = async (_api, id) => `End workflow ${id} for good?`;

/** Only of what another attempt cannot cure. */
const askBeforeRetry: Question = async (api, id) => {
  const { status, result } = (await api.get(`/dashboard/workflows/${id}`)) as { status: string; result: unknown };
  const { tag, message } = (status === 'failed' ? result : {}) as { tag?: ErrorTag; message?: string };
  if (tag === undefined || !isPermanentByDefault(tag)) return null;
  return `It failed with ${tag}: ${message} It would fail again unless that is cured. Retry it?`;
};

const workflowApprove: Command = {
  name: 'workflow approve',
  summary: 'Approve the deletions that a reconcile withheld: starts a workflow that applies them',
  examples: ['tds workflow approve 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --reason "the items were deleted on purpose"'],
  args: [WORKFLOW_ID],
  options: [['--reason <text>', 'why, for the audit log']],
  confirms: true,
  async run({ api, options, confirm }, [id = '']) {
    const path = `/dashboard/workflows/${uuid(id)}`;
    if (!options.reason) throw new UsageError('an approval needs --reason "why"');
    const { result } = (await (await api()).get(path)) as { result: unknown };
    if (!(await confirm(`Approve what it withheld? ${JSON.stringify(result)}`)))
      return { data: null, rows: [], exitCode: 1 };
    const data = await (await api()).post(`${path}/approve`, {}, { reason: options.reason });
    return { data, columns: WORKFLOW_COLUMNS };
  },
};

/** Alerts, workers, workflows, audit. */
export const operatorCommands = [
  ...[
    alertsList,
    alertsAck,
    alertsTest,
    workersList,
    workersDrain,
    auditList,
    auditVerify,
    workflowList,
    workflowShow,
    workflowStart,
    workflowApprove,
  ],
  workflowDeed('pause', 'Let a workflow begin no further activity'),
  workflowDeed('resume', 'Let a workflow that was paused go on'),
  workflowDeed('terminate', 'End a workflow', askBeforeEnd),
  workflowDeed('retry', 'Let a workflow that failed go on from its last checkpoint', askBeforeRetry),
];

import { readFileSync } from 'node:fs';
import { isNumber, parseLossless } from '../../lossless.ts';
import { type Command, type Context, type Options, type Result, UsageError } from '../command.ts';
import { SELECTION_OPTIONS, selection } from './dlq-selection.ts';
import { uuid } from './events.ts';

type Plan = { count: number; oldest: string | null; newest: string | null; breakdown: Record<string, unknown>[] };
type Discarded = { discarded: number; finished: boolean };
type Edited = { message: string; queue_id: string | null; difference: Record<string, unknown>[] };

const discard: Command = {
  name: 'dlq discard',
  summary: 'Take dead letters that nobody needs out of the queue; for 30 days they can be restored',
  examples: [
    'tds dlq discard 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --reason "sent by a test"',
    'tds dlq discard --kind quarantined --before 7d --reason "not from Zoho Books" --dry-run',
    'tds dlq discard --group 0f3a5c7e9b1d2468 --reason "module not used" --yes',
  ],
  args: [['[ids...]', 'ids of dead letters']],
  options: [...SELECTION_OPTIONS, ['--kind <kind>', 'failed or quarantined'], ['--reason <text>', 'why']],
  confirms: true,
  plans: true,
  async run(context, ids) {
    const { options } = context;
    if (!options.reason) throw new UsageError('a discard needs --reason "why"');
    const chosen = selection(ids, options);
    const only = ids.length === 1 && 'ids' in chosen && !options.dryRun;
    return only ? discardOne(context, ids[0] as string) : discardMany(context, chosen);
  },
};

async function discardOne({ api, options, say }: Context, id: string): Promise<Result> {
  const path = `/dashboard/dead-letter/${uuid(id)}/discard`;
  const data = (await (await api()).post(path, {}, { reason: options.reason })) as { message: string };
  say(`${data.message}. tds dlq restore ${id} brings it back.`);
  return { data };
}

async function discardMany(context: Context, chosen: object): Promise<Result> {
  const { options, say } = context;
  const api = await context.api();
  const path = '/dashboard/dead-letter/discard';
  const body = { ...chosen, reason: options.reason };
  const plan = (await api.post(path, { dry_run: true }, body)) as Plan;
  if (options.dryRun) {
    say(`${plan.count} dead letters, from ${plan.oldest} to ${plan.newest}`);
    return { data: plan, rows: plan.breakdown };
  }
  const question = `Discard ${plan.count} dead letters from ${plan.oldest} to ${plan.newest}?`;
  if (!(await context.confirm(question))) return { data: null, rows: [], exitCode: 1 };
  for (let discarded = 0; ; ) {
    const some = (await api.post(path, {}, body)) as Discarded;
    discarded += some.discarded;
    if (some.finished) return { data: { discarded, finished: true } };
    say(`${discarded} so far`);
  }
}

const restore: Command = {
  name: 'dlq restore',
  summary: 'Open discarded dead letters again, as they were',
  examples: ['tds dlq list --discarded', 'tds dlq restore 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04'],
  args: [['<ids...>', 'ids of discarded dead letters']],
  options: [['--reason <text>', 'why, for the audit log']],
  async run({ api, options }, ids) {
    const body = options.reason ? { reason: options.reason } : undefined;
    const data: unknown[] = [];
    for (const id of ids.map(uuid))
      data.push(await (await api()).post(`/dashboard/dead-letter/${id}/restore`, {}, body));
    return { data };
  },
};

const edit: Command = {
  name: 'dlq edit',
  summary: 'Correct the record of a dead letter and let it run as a new event; the original keeps its bytes',
  examples: [
    `tds dlq edit 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --set /line_items/0/rate=12.50 --reason "wrong rate" --dry-run`,
    'tds dlq show 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 -o json | jq .payload > record.json',
    'tds dlq edit 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --file record.json --reason "wrong rate"',
  ],
  args: [['<id>', 'id of the dead letter']],
  options: [
    [
      '--set <path=value...>',
      'a JSON pointer into the record and the JSON that is to stand there; text needs no quotes',
    ],
    ['--file <file>', 'the whole record as JSON, in place of --set'],
    ['--module <module>', 'what it is, where that was not understood'],
    ['--action <action>', 'created, updated, upsert or deleted, where that was wrong'],
    ['--organization <id>', 'whose it is, where that was wrong'],
    ['--reason <text>', 'why; shown with the new event'],
  ],
  plans: true,
  async run({ api, options, say }, [id = '']) {
    if (!options.reason) throw new UsageError('an edit needs --reason "why"');
    const path = `/dashboard/dead-letter/${uuid(id)}`;
    const transport = await api();
    const letter = await transport.get(path);
    const record = options.file ? fromFile(options.file as string) : edited(letter, options);
    const { reason, module, action, organization: organization_id } = options;
    const query = options.dryRun ? { dry_run: true } : {};
    const body = { reason, record, module, action, organization_id };
    const data = (await transport.post(`${path}/edit`, query, body)) as Edited;
    say(data.queue_id ? `${data.message}: tds events why ${data.queue_id}` : `${data.message}. It would become:`);
    return { data, rows: data.difference, columns: ['path', 'before', 'after'] };
  },
};

function fromFile(file: string): unknown {
  try {
    return parseLossless(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`--file ${file} cannot be read as JSON: ${(error as Error).message}`);
  }
}

/** The record of a dead letter with what --set says. */
function edited(letter: unknown, { set }: Options): unknown {
  const { payload } = letter as { payload: unknown };
  if (!Array.isArray(set)) throw new UsageError('say what to change: --set /path=value, or --file record.json');
  if (!isContainer(payload)) throw new UsageError('it was not understood, so there is no record to change: use --file');
  for (const change of set) apply(payload, change);
  return payload;
}

function apply(record: Record<string, unknown>, change: string): void {
  const [, pointer, value] = /^(\/[^=]*)=(.*)$/s.exec(change) ?? [];
  if (pointer === undefined || value === undefined)
    throw new UsageError(`--set takes /path=value, such as /line_items/0/rate=12.50, not ${change}`);
  const names = pointer
    .slice(1)
    .split('/')
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = names.pop() as string;
  const place = names.reduce<unknown>((at, name) => (isContainer(at) ? at[name] : undefined), record);
  if (!isContainer(place)) throw new UsageError(`the record has no ${pointer.slice(0, pointer.lastIndexOf('/'))}`);
  place[last] = jsonOrText(value);
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !isNumber(value);
}

function jsonOrText(text: string): unknown {
  try {
    return parseLossless(text);
  } catch {
    return text;
  }
}

export const dlqDeedCommands = [discard, restore, edit];

import type { Command, Context } from '../command.ts';
import { UsageError } from '../command.ts';
import { plain } from '../output.ts';
import { readList } from '../pages.ts';
import { readNumber, readTime } from '../since.ts';

type Event = { id: string; queued_at: string };

const COLUMNS = ['id', 'event_type', 'entity_id', 'status', 'attempt_count', 'queued_at', 'error_message'];
const ID: [string, string] = ['<id>', 'id of the event'];
const REASON: [string, string] = ['--reason <text>', 'why, for the audit log'];

const list: Command = {
  name: 'events list',
  summary: 'Recent events, newest first',
  examples: ['tds events list --status failed --since 2h', 'tds events list --find 982000000567114 -o csv'],
  options: [
    ['--status <status>', 'pending, processing, retry, completed, dead_letter or failed'],
    ['--since <time>', 'that were queued since, such as 2h'],
    ['--find <text>', 'whose id it is, or whose entity id contains it'],
    ['--limit <n>', 'at most so many (default: 50)'],
  ],
  reads: true,
  async run({ api, options }) {
    const since = readTime('since', options.since as string | undefined);
    const limit = readNumber('limit', (options.limit as string) ?? '50', 1, 100_000);
    const path = options.find ? '/dashboard/find-events' : '/dashboard/recent-events';
    const query = { status_filter: options.status as string | undefined, q: options.find as string | undefined };
    const enough = (event: Event) => since !== undefined && Date.parse(event.queued_at) < since.getTime();
    return { data: await readList<Event>(await api(), path, { limit, query, enough }), columns: COLUMNS };
  },
};

const show: Command = {
  name: 'events show',
  summary: 'One event',
  examples: ['tds events show 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04'],
  args: [ID],
  reads: true,
  async run({ api }, [id = '']) {
    const found = await readList<Event>(await api(), '/dashboard/find-events', { limit: 1, query: { q: uuid(id) } });
    if (!found[0]) throw new Error(`No event has the id ${id}. Recent ones: tds events list`);
    return { data: found[0] };
  },
};

type Story = {
  id: string;
  status: string;
  waits_for: { sentence: string };
  attempts: { ended_at: string; attempt: number; status: string; error_tag: string | null; message: string | null }[];
  deeds: { at: string; operator: string; action: string; result: string }[];
};

const why: Command = {
  name: 'events why',
  summary: 'What an event waits for, in one sentence, and what became of it so far',
  examples: [
    'tds events why 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04',
    'tds events why 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 -w',
  ],
  args: [ID],
  reads: true,
  async run({ api }, [id = '']) {
    const story = (await (await api()).get(`/dashboard/events/${uuid(id)}`)) as Story;
    const attempts = story.attempts.map(
      ({ ended_at, attempt, status, error_tag, message }) =>
        `  ${ended_at}  attempt ${attempt}: ${[status, error_tag, message].filter(Boolean).join(', ')}`,
    );
    const deeds = story.deeds.map(({ at, operator, action, result }) => `  ${at}  ${operator}: ${action}, ${result}`);
    const text = [plain(story.waits_for.sentence), ...[...attempts, ...deeds].map(plain).sort(), ''].join('\n');
    return { data: story, rows: [{ id: story.id, status: story.status, ...story.waits_for }], text };
  },
};

const replay: Command = {
  name: 'events replay',
  summary: 'Process an event again, whatever became of it',
  examples: ['tds events replay 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --reason "handler fixed"'],
  args: [ID],
  options: [REASON],
  run: (context, [id = '']) => deed(context, id, 'replay'),
};

const quarantine: Command = {
  name: 'events quarantine',
  summary: 'Take a waiting event out of the queue, until it is released',
  examples: ['tds events quarantine 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --reason "Duplicate event"'],
  args: [ID],
  options: [REASON],
  async run(context, [id = '']) {
    if (!context.options.reason) throw new UsageError('a quarantine needs --reason "why"');
    return deed(context, id, 'quarantine');
  },
};

const release: Command = {
  name: 'events release',
  summary: 'Let an event that was quarantined wait in the queue again',
  examples: ['tds events release 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04'],
  args: [ID],
  options: [REASON],
  run: (context, [id = '']) => deed(context, id, 'release'),
};

export const eventCommands = [list, show, why, replay, quarantine, release];

async function deed({ api, options, say }: Context, id: string, what: string) {
  const body = options.reason ? { reason: options.reason } : undefined;
  const data = (await (await api()).post(`/api/admin/events/${uuid(id)}/${what}`, {}, body)) as { message: string };
  say(data.message);
  return { data };
}

/** Before it becomes a part of an address. */
export function uuid(id: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) return id;
  throw new UsageError(`${id} is no id: it looks like 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04`);
}

import type { ListPage } from '../zoho/client/list.ts';
import type { PullStrategy } from '../zoho/modules/modules.ts';
import { reachedMark, strategyAfterPage } from '../zoho/modules/strategy.ts';
import { fetchTodo } from './fetch-todo.ts';
import { countSeen, storePage } from './pages.ts';
import { rowsToFetch } from './rows.ts';
import type { Scope } from './scope.ts';
import { orPostponed, refusal, turnOf } from './turn.ts';

export type Scan = {
  strategy: PullStrategy;
  /** Pages read, over all readings. */
  pages: number;
  /** Different records that the list has shown, and how many Zoho says there are; null when it does not say. */
  seen: number;
  total: number | null;
  /** Records fetched, events written, and ids that turned out not to exist. */
  fetched: number;
  written: number;
  gone: number;
  /** Records that Zoho lists and will not give. */
  notGiven: number;
  /** Rows of the list that hold no usable record. */
  unusable: number;
  /** Sentences about what could not be seen, fetched or believed. */
  problems: string[];
  /** The module cannot be pulled at all; `problems` says why. */
  refused: boolean;
};

type PageOutput = {
  rows: number;
  /** Phrases about rows that cannot be used. */
  unusable: string[];
  todo: number;
  total: number | null;
  /** Null on pages after which nobody has to know. */
  seen: number | null;
  more: boolean;
  /** A sorted scan has come to what a former run has seen. */
  reached: boolean;
  strategy: PullStrategy;
  refusal: string | null;
};

/** Rows move between pages while a list is read; it is read again at most so often until every row has been seen. */
const MOST_READINGS = 3;

/** Reads the list by a strategy, from `since` on where the strategy heeds it, and sends whatever is new to the mirror. */
export async function scanModule(scope: Scope, how: { strategy: PullStrategy; since: Date | null }): Promise<Scan> {
  const scan: Scan = { ...NOTHING, strategy: how.strategy, problems: [] };
  const reasons = new Set<string>();
  for (let reading = 1, page = 1, seenBefore = -1; ; page += 1) {
    const output = await readPage(
      scope,
      { number: scan.pages + 1, reading, page },
      { ...how, strategy: scan.strategy },
    );
    if (output.refusal !== null) return { ...scan, refused: true, problems: [output.refusal] };
    if (reading === 1) scan.unusable += output.unusable.length;
    for (const reason of output.unusable) reasons.add(reason);
    await addPage(scan, scope, output);
    if (output.strategy !== scan.strategy) {
      scan.strategy = output.strategy;
      scope.run.log.warn({ module: scope.module.name }, 'Zoho ignored the filter or the order: reading the whole list');
      page = 0;
    } else if (endsHere(scan, output, { reading, seenBefore })) break;
    else if (!output.more) [reading, page, seenBefore] = [reading + 1, 0, scan.seen];
  }
  scan.problems.push(...problemsOf(scope, scan, reasons));
  return scan;
}

const NOTHING = {
  ...{ pages: 0, seen: 0, total: null, fetched: 0, written: 0, gone: 0, notGiven: 0, unusable: 0, refused: false },
};

async function addPage(scan: Scan, scope: Scope, { todo, total, seen }: PageOutput): Promise<void> {
  scan.pages += 1;
  scan.total = total;
  if (seen !== null) scan.seen = seen;
  if (todo === 0) return;
  const { fetched, written, gone, refused, why } = await fetchTodo(scope, scan.pages);
  scan.fetched += fetched;
  scan.written += written;
  scan.gone += gone;
  scan.notGiven += refused;
  if (why !== null) scan.problems = [`${scan.notGiven} records of ${scope.module.name} cannot be fetched: ${why}`];
}

/** Where each page is asked for, how often it is, and where it stands among all pages of the run. */
type Place = { number: number; reading: number; page: number };

const LIST_OF = { filter: ' of changes', 'sorted-scan': ' by change', 'full-scan': '' } as const;

async function readPage(
  scope: Scope,
  { number, reading, page }: Place,
  { strategy, since }: { strategy: PullStrategy; since: Date | null },
): Promise<PageOutput> {
  const { run, client, module, part } = scope;
  const again = reading === 1 ? '' : ` of reading ${reading}`;
  return run.activity(`${module.name} page ${page}${LIST_OF[strategy]}${again}`, {
    async fetch() {
      const query = {
        ...{ page, withTotal: true, newestFirst: strategy === 'sorted-scan' },
        ...(strategy === 'filter' && since !== null && { since }),
      };
      try {
        const list = await client.listPage(module, query, turnOf(run));
        return { list, wanted: await rowsToFetch(run.db, part.organizationId, module.name, list.rows) };
      } catch (error) {
        const why = refusal(error);
        if (why === null) throw orPostponed(error);
        return { refusal: why };
      }
    },
    async write(trx, fetched) {
      if (fetched.list === undefined) return refusedPage(strategy, fetched.refusal);
      const { list, wanted } = fetched;
      const todo = list.rows.filter(({ id }) => wanted.has(id)).map(({ id, hash }) => ({ id, hash }));
      await storePage(trx, part, { page: number, ids: list.rows.map(({ id }) => id), todo });
      const output = pageOutput(list, todo.length, strategy, since);
      if (!output.more || output.reached || reading > 1) output.seen = await countSeen(trx, part);
      noteProgress(scope, list, reading > 1 ? 0 : scope.counts === 'new' ? todo.length : list.rows.length);
      return output;
    },
  });
}

function pageOutput(list: ListPage, todo: number, strategy: PullStrategy, since: Date | null): PageOutput {
  return {
    ...{ rows: list.rows.length, unusable: list.unusable, todo, total: list.total, seen: null, more: list.hasMore },
    reached: strategy === 'sorted-scan' && since !== null && reachedMark(list.rows, since),
    strategy: since === null ? strategy : strategyAfterPage(strategy, list.rows, since),
    refusal: null,
  };
}

function refusedPage(strategy: PullStrategy, why: string): PageOutput {
  const nothing = { rows: 0, unusable: [], todo: 0, total: null, seen: null, more: false, reached: false };
  return { ...nothing, strategy, refusal: why };
}

function noteProgress({ run, module, before }: Scope, { total }: ListPage, records: number): void {
  const { progress } = run;
  progress.module = module.name;
  progress.records += records;
  progress.records_total = total === null ? null : before + total;
  progress.pages += 1;
}

/**
 * Whether nothing is left to read: every row that Zoho counts has been seen, or another reading would not help, because
 * the last one has shown nothing new.
 */
function endsHere(
  { seen, total, unusable }: Scan,
  { more, reached, seen: counted }: PageOutput,
  { reading, seenBefore }: { reading: number; seenBefore: number },
): boolean {
  if (reached) return true;
  const whole = counted !== null && (total === null || seen + unusable >= total);
  if (more) return reading > 1 && whole;
  return whole || reading === MOST_READINGS || seen === seenBefore;
}

function problemsOf({ module: { name } }: Scope, scan: Scan, reasons: ReadonlySet<string>): string[] {
  const { strategy, seen, total, unusable } = scan;
  const problems: string[] = [];
  if (unusable > 0) {
    const why = [...reasons].slice(0, 3).join('; ');
    problems.push(`${unusable} rows of the list of ${name} cannot be used: ${why}.`);
  }
  if (strategy !== 'sorted-scan' && total !== null && seen + unusable < total)
    problems.push(`Zoho counts ${total} records of ${name}, but its list has shown ${seen + unusable}.`);
  return problems;
}

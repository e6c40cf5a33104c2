/** Reads a module's list page by page, fetches what is new, and notices when the list was not read whole. */
import type { ZohoError } from '../zoho/client/errors.ts';
import { type ListPage, MAX_PER_PAGE } from '../zoho/client/list.ts';
import type { PullStrategy } from '../zoho/modules/modules.ts';
import { reachedMark, strategyAfterPage } from '../zoho/modules/strategy.ts';
import { fetchTodo } from './fetch-todo.ts';
import { countSeen, storePage } from './pages.ts';
import { type PageRead, Paging } from './paging.ts';
import { rowsToFetch } from './rows.ts';
import type { Scope } from './scope.ts';
import { isRefusal, orPostponed, turnOf } from './turn.ts';

export type Scan = {
  strategy: PullStrategy;
  /** Pages of the list, and how many were read, some of them again. */
  pages: number;
  reads: number;
  /** Different records that the list has shown, and how many Zoho says there are; null when it does not say. */
  seen: number;
  total: number | null;
  /** Records fetched, events written, and ids that turned out not to exist. */
  fetched: number;
  written: number;
  gone: number;
  /** Entries within the records fetched (contact persons of a contact) that have no id and cannot be mirrored. */
  withoutId: number;
  /** Records that Zoho lists and will not give. */
  notGiven: number;
  /** Rows of the list that hold no usable record. */
  unusable: number;
  /** Sentences about what could not be seen, fetched or believed. */
  problems: string[];
  /** The module cannot be pulled: the activity that Zoho refused, and its answer. */
  refused: (Refusal & { activity: string }) | null;
};

/** What Zoho said when it refused a page. */
type Refusal = { message: string; status: number | null; code: number | null; body: string | null };

type PageOutput = Omit<PageRead, 'seen'> & {
  /** Different records of all pages; null where nobody has to know. */
  seen: number | null;
  /** Phrases about rows that cannot be used. */
  unusable: string[];
  todo: number;
  refusal: Refusal | null;
};

/** Reads the list by a strategy, from `since` on where the strategy heeds it, and sends whatever is new to the mirror. */
export async function scanModule(scope: Scope, how: { strategy: PullStrategy; since: Date | null }): Promise<Scan> {
  const scan: Scan = { ...NOTHING, strategy: how.strategy, problems: [] };
  const paging = new Paging(how.strategy, MAX_PER_PAGE);
  const unusable = new Map<number, string[]>();
  for (let more = true; more; ) {
    const { page, label } = paging;
    const output = await readPage(scope, paging, how.since);
    const { refusal } = output;
    if (refusal !== null)
      return { ...scan, refused: { ...refusal, activity: activityOf(scope, label) }, problems: [refusal.message] };
    unusable.set(page, output.unusable);
    scan.unusable = [...unusable.values()].flat().length;
    await addPage(scan, scope, { page, label }, output);
    more = paging.next({ ...output, seen: output.seen === null ? null : output.seen + scan.unusable });
  }
  if (paging.strategy !== how.strategy)
    scope.run.log.warn({ module: scope.module.name }, 'Zoho ignored the filter or the order: the whole list was read');
  scan.strategy = paging.strategy;
  scan.problems.push(...problemsOf(scope, scan, paging, new Set([...unusable.values()].flat())));
  return scan;
}

const NOTHING = {
  ...{
    pages: 0,
    reads: 0,
    seen: 0,
    total: null,
    fetched: 0,
    written: 0,
    gone: 0,
    withoutId: 0,
    notGiven: 0,
    unusable: 0,
  },
  refused: null,
};

async function addPage(
  scan: Scan,
  scope: Scope,
  { page, label }: { page: number; label: string },
  { todo, total, seen }: PageOutput,
): Promise<void> {
  scan.pages = Math.max(scan.pages, page);
  scan.reads += 1;
  scan.total = total;
  scan.seen = seen ?? scan.seen;
  if (todo === 0) return;
  const { fetched, written, gone, withoutId, refused, why } = await fetchTodo(scope, page, label);
  scan.fetched += fetched;
  scan.written += written;
  scan.gone += gone;
  scan.withoutId += withoutId;
  scan.notGiven += refused;
  if (why !== null) scan.problems = [`${scan.notGiven} records of ${scope.module.name} cannot be fetched: ${why}`];
}

async function readPage(scope: Scope, paging: Paging, since: Date | null): Promise<PageOutput> {
  const { run, client, module, part } = scope;
  const { page, strategy, label, counts } = paging;
  return run.activity(activityOf(scope, label), {
    async fetch() {
      const query = {
        ...{ page, withTotal: true, newestFirst: strategy === 'sorted-scan' },
        ...(strategy === 'filter' && since !== null && { since }),
      };
      try {
        const list = await client.listPage(module, query, turnOf(run));
        return { list, wanted: await rowsToFetch(run.db, part.organizationId, module.name, list.rows) };
      } catch (error) {
        if (!isRefusal(error)) throw orPostponed(error);
        return { refused: error };
      }
    },
    async write(trx, fetched) {
      if (fetched.list === undefined) return refusedPage(strategy, fetched.refused);
      const { list, wanted } = fetched;
      const todo = list.rows.filter(({ id }) => wanted.has(id)).map(({ id, hash }) => ({ id, hash }));
      await storePage(trx, part, { page, ids: list.rows.map(({ id }) => id), todo });
      const output = pageOutput(list, todo.length, strategy, since);
      if (counts || !output.more || output.reached) output.seen = await countSeen(trx, part);
      noteProgress(scope, list, label.includes('again') ? 0 : scope.counts === 'new' ? todo.length : list.rows.length);
      return output;
    },
  });
}

function pageOutput(list: ListPage, todo: number, strategy: PullStrategy, since: Date | null): PageOutput {
  return {
    ...{ unusable: list.unusable, todo, total: list.total, seen: null, more: list.hasMore, refusal: null },
    reached: strategy === 'sorted-scan' && since !== null && reachedMark(list.rows, since),
    strategy: since === null ? strategy : strategyAfterPage(strategy, list.rows, since),
  };
}

function refusedPage(strategy: PullStrategy, { message, status, code, body }: ZohoError): PageOutput {
  const refusal = { message, status: status ?? null, code: code ?? null, body: body ?? null };
  return { unusable: [], todo: 0, total: null, seen: null, more: false, reached: false, strategy, refusal };
}

function activityOf({ module }: Scope, label: string): string {
  return `${module.name} ${label}`;
}

function noteProgress({ run, module, before }: Scope, { total }: ListPage, records: number): void {
  const { progress } = run;
  progress.module = module.name;
  progress.records += records;
  progress.records_total = total === null ? null : before + total;
  progress.pages += 1;
}

function problemsOf({ module: { name } }: Scope, scan: Scan, paging: Paging, reasons: ReadonlySet<string>): string[] {
  const { strategy, seen, total, unusable } = scan;
  const problems: string[] = [];
  if (unusable > 0) {
    const why = [...reasons].slice(0, 3).join('; ');
    problems.push(`${unusable} rows of the list of ${name} cannot be used: ${why}.`);
  }
  if (strategy !== 'sorted-scan' && total !== null && seen + unusable < total)
    problems.push(`Zoho counts ${total} records of ${name}, but its list has shown ${seen + unusable}.`);
  if (paging.unsettled)
    problems.push(`Records of ${name} were deleted each time its list was read: rows that moved may be missing.`);
  return problems;
}

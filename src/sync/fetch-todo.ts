/** Fetches the records that a page leaves to fetch, a few at a time: what has been fetched is never asked for again. */
import type { ZohoClient } from '../zoho/client/client.ts';
import { type Details, fetchDetails } from '../zoho/client/details.ts';
import { blamesZoho } from '../zoho/client/errors.ts';
import type { ZohoRecord } from '../zoho/client/records.ts';
import type { PullModule } from '../zoho/modules/pull-modules.ts';
import type { Turn } from '../zoho/quota/governed.ts';
import { countWithoutId } from './inner-records.ts';
import { noteFetched, type Todo, todoOf } from './pages.ts';
import type { Scope } from './scope.ts';
import { orPostponed, refusal, turnOf } from './turn.ts';
import { databaseTime, writePulled } from './write-pulled.ts';

export type FetchedTodo = {
  /** Records, events written for them, and ids that do not exist. */
  fetched: number;
  written: number;
  gone: number;
  /** Entries within the records that should be records of their own and have no id. */
  withoutId: number;
  /** Records that Zoho will not give, and its words about the first of them. */
  refused: number;
  why: string | null;
};

/** Records per activity where each costs a call, and where a call brings many. */
const SINGLES = 50;
const IN_BULK = 200;
/** Failures in a row until the activity fails, to be tried again after a while. */
const PATIENCE = 3;

/**
 * Fetches everything that is left to fetch of a page, in as many activities as it takes. `deletes`: what does not exist is
 * deleted in the mirror too.
 */
export async function fetchTodo(
  scope: Scope,
  page: number,
  label: string,
  options: { deletes?: boolean } = {},
): Promise<FetchedTodo> {
  const sum: FetchedTodo = { fetched: 0, written: 0, gone: 0, withoutId: 0, refused: 0, why: null };
  for (let nth = 1; ; nth += 1) {
    const { left, ...done } = await fetchSome(scope, page, `details ${nth} of ${label}`, options.deletes ?? false);
    sum.fetched += done.fetched;
    sum.written += done.written;
    sum.gone += done.gone;
    sum.withoutId += done.withoutId;
    sum.refused += done.refused;
    sum.why ??= done.why;
    if (left === 0) return sum;
  }
}

function fetchSome(
  { run, client, module, part }: Scope,
  page: number,
  name: string,
  deletes: boolean,
): Promise<FetchedTodo & { left: number }> {
  return run.activity(`${module.name} ${name}`, {
    async fetch() {
      const todo = await todoOf(run.db, part, page);
      const fetchedAt = await databaseTime(run.db);
      const asked = todo.slice(0, module.bulk === null ? SINGLES : IN_BULK).map(({ id }) => id);
      return { todo, fetchedAt, ...(await detailsOf(client, module, asked, turnOf(run))) };
    },
    async write(trx, { todo, fetchedAt, details, refused }) {
      const done = new Set([...details.keys(), ...refused.keys()]);
      const left = todo.filter(({ id }) => !done.has(id));
      const records = [...details.values()].filter((record) => record !== null);
      const gone = [...details.keys()].filter((id) => details.get(id) === null);
      const rowHashes = hashesOf(todo);
      const written = await writePulled(trx, {
        ...{ organizationId: part.organizationId, module, records, deletedIds: deletes ? gone : [], runId: part.runId },
        ...{ reason: run.name, fetchedAt, rowHashes },
      });
      const found = records.map(({ id }) => id).filter((id) => !rowHashes.has(id));
      await noteFetched(trx, part, page, { left, gone, found });
      return {
        ...{ fetched: records.length, written: written.length, gone: gone.length, left: left.length },
        withoutId: tellWithoutId(run, module, records),
        ...{ refused: refused.size, why: [...refused.values()][0] ?? null },
      };
    },
  });
}

/** Says what of these records will not be mirrored, and in which it stands; returns how much that is. */
function tellWithoutId({ log }: Scope['run'], module: PullModule, records: readonly ZohoRecord[]): number {
  const holders = records.filter((record) => countWithoutId(module, record) > 0);
  if (holders.length === 0) return 0;
  const entries = holders.reduce((sum, record) => sum + countWithoutId(module, record), 0);
  // Details arrive in any order.
  const ids = holders.map(({ id }) => id).sort();
  log.warn(
    { module: module.name, ids, without_id: entries },
    'entries within records have no id: they are not mirrored',
  );
  return entries;
}

function hashesOf(todo: readonly Todo[]): Map<string, string> {
  return new Map(todo.flatMap(({ id, hash }) => (hash === null ? [] : [[id, hash]])));
}

type Some = { details: Details; refused: Map<string, string> };

/**
 * The records of the ids, or of some of them when Zoho or the quota stop us on the way. Throws when there is not even
 * one.
 */
export async function detailsOf(
  client: ZohoClient,
  module: PullModule,
  ids: readonly string[],
  turn: Turn,
): Promise<Some> {
  const some: Some = { details: new Map(), refused: new Map() };
  try {
    await untilDone(some, client, module, ids, turn);
  } catch (error) {
    turn.signal?.throwIfAborted();
    if (some.details.size + some.refused.size === 0) throw orPostponed(error);
  }
  return some;
}

async function untilDone(some: Some, client: ZohoClient, module: PullModule, ids: readonly string[], turn: Turn) {
  for (let failures = 0; ; ) {
    const before = some.details.size;
    try {
      await fetchDetails(client, module, ids, turn, some.details);
      return;
    } catch (error) {
      if (refusal(error) !== null) return oneByOne(some, client, module, ids, turn);
      failures = some.details.size > before ? 1 : failures + 1;
      if (!blamesZoho(error) || failures === PATIENCE) throw error;
    }
  }
}

/** One record that Zoho will not give must not keep us from the others. */
async function oneByOne(some: Some, client: ZohoClient, module: PullModule, ids: readonly string[], turn: Turn) {
  for (const id of ids.filter((id) => !some.details.has(id))) {
    try {
      some.details.set(id, await client.detail(module, id, turn));
    } catch (error) {
      const why = refusal(error);
      if (why === null) throw error;
      some.refused.set(id, why);
    }
  }
}

import fc from 'fast-check';
import t from 'tap';
import { type PageRead, Paging } from '../../src/sync/paging.ts';

const PER_PAGE = 3;
const quiet = { strategy: 'full-scan', more: true, total: null, reached: false, seen: null } as const;

/** Reads a list that changes before each page: newest first, as Zoho shows it. Answers what was seen. */
function readChanging(length: number, changes: readonly ('create' | number | null)[]) {
  let next = length;
  let list = Array.from({ length }, (_, n) => length - 1 - n);
  const [wait, seen] = [[...changes], new Set<number>()];
  const paging = new Paging('full-scan', PER_PAGE);
  const stayed = new Set(list);
  let reads = 0;
  for (let more = true; more; reads += 1) {
    const change = wait.shift() ?? null;
    if (change === 'create') list = [next++, ...list];
    else if (change !== null && list.length > 0) {
      const [gone] = list.splice(change % list.length, 1);
      stayed.delete(gone ?? -1);
    }
    const rows = list.slice((paging.page - 1) * PER_PAGE, paging.page * PER_PAGE);
    for (const row of rows) seen.add(row);
    const isLast = list.length <= paging.page * PER_PAGE;
    more = paging.next({
      ...quiet,
      total: list.length,
      more: !isLast,
      seen: isLast || paging.counts ? seen.size : null,
    });
  }
  return { seen, stayed, paging, reads };
}

t.test('whatever is created and deleted while a list is read, what stays is seen, or we are told', async () => {
  const change = fc.oneof(fc.constant('create' as const), fc.nat(30), fc.constant(null));
  fc.assert(
    fc.property(fc.nat(20), fc.array(change, { maxLength: 12 }), (length, changes) => {
      const { seen, stayed, paging, reads } = readChanging(length, changes);
      const missed = [...stayed].filter((row) => !seen.has(row));
      return (missed.length === 0 || paging.unsettled) && reads < 60;
    }),
    { numRuns: 3000 },
  );
});

t.test('a list that nobody changes is read once', async (t) => {
  const { reads, paging } = readChanging(10, []);
  t.same([reads, paging.unsettled], [4, false]);
});

t.test('pages that are read again have names of their own', async (t) => {
  const paging = new Paging('filter', PER_PAGE);
  const names = [paging.label];
  const read = (more: Partial<PageRead>) => {
    const goesOn = paging.next({ ...quiet, strategy: 'filter', ...more });
    if (goesOn) names.push(paging.label);
    return goesOn;
  };
  read({ total: 9 });
  read({ total: 8 });
  read({ total: 8 });
  read({ strategy: 'full-scan' });
  t.notOk(read({ strategy: 'full-scan', total: 2, more: false, seen: 2 }));
  t.same(names, [
    'page 1 of changes',
    'page 2 of changes',
    'page 1 of changes again',
    'page 2 of changes again',
    'page 1',
  ]);
});

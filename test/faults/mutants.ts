/** The protections that the fault suite must miss when they are gone. */
export type Mutation = {
  name: string;
  /** The fault that must turn red; a test file where no fault can reach the protection every time. */
  fault: string;
  /** Of the faults with this id, those whose title matches. */
  title?: string;
  /** Where luck decides whether one run notices. Default: 1. */
  seeds?: string;
  /** Each text must be there, or this would prove nothing. */
  changes: { file: string; remove: string; insert?: string }[];
  expectRed: boolean;
};

const QUEUE = 'migrations/0001_inbox_and_queue.ts';
const DERIVED = 'migrations/0005_derived_state.ts';

export const MUTATIONS: Mutation[] = [
  {
    name: 'exclusion removed: no primary key on the entities in hand',
    fault: 'test/queue/exclusion.test.ts',
    changes: [
      {
        file: QUEUE,
        remove: 'entity_key bigint primary key,\n  lease uuid',
        insert: 'entity_key bigint,\n  lease uuid',
      },
      { file: 'src/queue/claim.ts', remove: 'on conflict (entity_key) do nothing returning', insert: 'returning' },
    ],
    expectRed: true,
  },
  {
    name: 'fresh snapshot removed: events as they were when the entities were chosen',
    fault: 'test/queue/exclusion.test.ts',
    changes: [
      {
        file: 'src/queue/claim.ts',
        remove: "const CLAIM_BEGIN = 'begin;",
        insert: "const CLAIM_BEGIN = 'begin isolation level repeatable read;",
      },
    ],
    expectRed: true,
  },
  {
    name: 'order of arrival not drawn under a lock',
    fault: 'test/queue/exclusion.test.ts',
    changes: [
      {
        file: 'src/queue/enqueue.ts',
        remove: 'pg_advisory_xact_lock(entity_key) as taken',
        insert: 'entity_key as taken',
      },
    ],
    expectRed: true,
  },
  {
    name: 'later events of a set not given back',
    fault: 'test/queue/claim.test.ts',
    changes: [
      {
        file: DERIVED,
        remove: 'later.lease = c.lease and later.arrival > back.arrival',
        insert: 'later.lease = c.lease and false',
      },
    ],
    expectRed: true,
  },
  {
    name: 'fence removed: anybody may finish',
    fault: 'F04',
    title: 'back$',
    changes: [
      { file: 'src/queue/finish.ts', remove: 'where q.id = e.id and q.lease = e.lease', insert: 'where q.id = e.id' },
    ],
    expectRed: true,
  },
  {
    name: 'stale lease forgiven: no rollback',
    fault: 'F04',
    title: 'in sets$',
    changes: [{ file: 'src/queue/finish.ts', remove: 'if (lost > 0) throw new StaleLease(lost);' }],
    expectRed: true,
  },
  {
    name: 'rescue removed',
    fault: 'F01',
    title: 'running$',
    changes: [
      { file: 'src/worker/sweep.ts', remove: 'await rescue(pool, policy, leaseSeconds)', insert: '[] as never[]' },
    ],
    expectRed: true,
  },
  {
    name: 'leases not ended whose last events ended together',
    fault: 'test/queue/leases.test.ts',
    changes: [{ file: 'src/queue/rescue.ts', remove: 'await endEmptyLeases(client, workerId);' }],
    expectRed: true,
  },
  {
    name: 'crash charged to everybody',
    fault: 'F22',
    changes: [{ file: 'src/queue/rescue.ts', remove: 'alone: inHand.length === 1', insert: 'alone: true' }],
    expectRed: true,
  },
  {
    name: 'suspects run among the others',
    fault: 'F22',
    changes: [{ file: 'src/queue/state.ts', remove: '...UNCHARGED, suspect: true,', insert: '...UNCHARGED,' }],
    expectRed: true,
  },
  {
    name: 'suspects run first, by the worker itself',
    fault: 'F52',
    changes: [
      {
        file: 'src/worker/sweep.ts',
        remove: 'this.#options.suspects?.runIfAny()',
        insert: 'undefined',
      },
    ],
    expectRed: true,
  },
  {
    name: 'the process for suspects begins with all of them',
    fault: 'F22',
    changes: [{ file: 'src/worker/loop.ts', remove: '#suspectsAtOnce = 1;', insert: '#suspectsAtOnce = 1000;' }],
    expectRed: true,
  },
  {
    name: 'no watchdog',
    fault: 'F53',
    title: 'for ever$',
    changes: [{ file: 'src/worker/watchdog.ts', remove: 'if (options.seconds === 0) return', insert: 'return' }],
    expectRed: true,
  },
  {
    name: 'drain removed: exits with work in hand',
    fault: 'F09',
    title: 'under load$',
    changes: [
      { file: 'src/worker/worker.ts', remove: 'await loop.stop(', insert: 'process.exit(0); await loop.stop(' },
    ],
    expectRed: true,
  },
  {
    name: 'unique dedupe key removed',
    fault: 'F03',
    changes: [{ file: QUEUE, remove: 'dedupe_key uuid unique', insert: 'dedupe_key uuid' }],
    expectRed: true,
  },
  {
    name: 'answered before COMMIT',
    fault: 'F03',
    changes: [
      {
        file: 'src/inbox/store.ts',
        remove: 'this.#waitingBytes += size(event);\n      this.#pump',
        insert:
          "resolve({ eventId: event.eventId, duplicate: false, status: 'queued' });\n      this.#waitingBytes += size(event);\n      this.#pump",
      },
    ],
    expectRed: true,
  },
  {
    name: 'synchronous_commit off',
    fault: 'F16',
    title: 'immediate$',
    seeds: '1..12',
    changes: [
      {
        file: 'src/db/database.ts',
        remove: "['timezone', 'UTC'],",
        insert: "['timezone', 'UTC'], ['synchronous_commit', 'off'],",
      },
    ],
    expectRed: true,
  },
];

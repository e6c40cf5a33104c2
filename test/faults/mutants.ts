/** The protections that the fault suite must miss when they are gone. */
export type Mutation = {
  name: string;
  /** The fault that must turn red; a test file where no fault can reach the protection every time. */
  fault: string;
  /** Where luck decides whether one run notices. Default: 1. */
  seeds?: string;
  file: string;
  changes: { remove: string; insert?: string }[];
  expectRed: boolean;
};

export const MUTATIONS: Mutation[] = [
  {
    name: 'fence removed: anybody may finish',
    fault: 'F04',
    file: 'src/queue/finish.ts',
    changes: [
      { remove: "where q.id = e.id and q.status = 'processing' and q.lease = e.lease", insert: 'where q.id = e.id' },
    ],
    expectRed: true,
  },
  {
    name: 'fence of sets removed: anybody may complete',
    fault: 'test/queue/finish.test.ts',
    file: 'src/queue/complete.ts',
    changes: [
      { remove: 'if (claims.length < leases.size) throw new StaleLease(completed.events.length);' },
      {
        remove: `where q.id = e.id and (q.status = 'processing' and q.lease = e.lease
    or $6::timestamptz is not null and q.status in ('pending', 'retry'))`,
        insert: 'where q.id = e.id',
      },
    ],
    expectRed: true,
  },
  {
    name: 'stale lease forgiven: no rollback',
    fault: 'F04',
    file: 'src/queue/finish.ts',
    changes: [{ remove: 'if (lost > 0) throw new StaleLease(lost);' }],
    expectRed: true,
  },
  {
    name: 'rescue removed',
    fault: 'F01',
    file: 'src/worker/sweep.ts',
    changes: [{ remove: 'await rescue(this.#crew.pool, this.#crew.policy, this.#leaseSeconds)', insert: '[]' }],
    expectRed: true,
  },
  {
    name: 'drain removed: exits with work in hand',
    fault: 'F09',
    file: 'src/worker/worker.ts',
    changes: [{ remove: 'await loop.stop(config.drainSeconds * 1000);', insert: 'process.exit(0);' }],
    expectRed: true,
  },
  {
    name: 'unique dedupe key removed',
    fault: 'F03',
    file: 'migrations/0001_queue.ts',
    changes: [{ remove: 'dedupe_key uuid unique', insert: 'dedupe_key uuid' }],
    expectRed: true,
  },
  {
    name: 'answered before COMMIT',
    fault: 'F03',
    file: 'src/inbox/store.ts',
    changes: [
      {
        remove: 'this.#waitingBytes += size(event);',
        insert:
          "this.#waitingBytes += size(event); resolve({ eventId: event.eventId, duplicate: false, status: 'queued' });",
      },
    ],
    expectRed: true,
  },
  {
    name: 'crash charged to everybody',
    fault: 'F22',
    file: 'src/queue/rescue.ts',
    changes: [{ remove: 'alone: inHand === 1', insert: 'alone: true' }],
    expectRed: true,
  },
  {
    name: 'entity order given up',
    fault: 'F31',
    file: 'src/queue/claim.ts',
    changes: [
      {
        remove:
          'and r.entity_key not in (select unnest(entity_keys) from tds_queue_claims where claim_xid >= $3::bigint)',
        // The parameter must still be there, or every claim fails for that reason alone.
        insert: 'and $3::bigint is not null',
      },
    ],
    expectRed: true,
  },
  {
    name: 'synchronous_commit off',
    fault: 'F16',
    seeds: '1..12',
    file: 'src/db/database.ts',
    changes: [{ remove: "'-c timezone=UTC'", insert: "'-c timezone=UTC -c synchronous_commit=off'" }],
    expectRed: true,
  },
];

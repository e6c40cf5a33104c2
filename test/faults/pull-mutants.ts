// biome-ignore-all lint/suspicious/noTemplateCurlyInString: pieces of source text, to be found and replaced
/** What pulling from Zoho promises, broken one promise at a time: the tests of the pull must turn red. */
import type { Mutation } from './mutants.ts';

type Broken = [name: string, file: string, ...changes: [remove: string, insert?: string][]];

const mutantsOf = (area: string, test: string, broken: Broken[]): Mutation[] =>
  broken.map(([name, file, ...changes]) => ({
    name: `pull ${area}: ${name}`,
    fault: test,
    changes: changes.map(([remove, insert = '']) => ({ file, remove, insert })),
    expectRed: true,
  }));

const HOLES = 'src/sync/holes.ts';
const holes = mutantsOf('holes', 'test/sync/holes-model.test.ts', [
  ['no grace', HOLES, ["found_at <= now() - ${graceSeconds} * interval '1 second'", 'found_at <= now()']],
  [
    'the version that was pulled is no announcement of it',
    HOLES,
    ['coalesce(p.version, i.received_at) >= s.version', 'coalesce(p.version, i.received_at) > s.version'],
  ],
  ['what a payment names is a hole', HOLES, [' and not ${wasNamed}']],
  ['what changed before anybody listened is a hole', HOLES, ['where changed_at >= e.since and not', 'where not']],
  ['any webhook announces a deletion', HOLES, ["then i.action = 'deleted'", 'then true']],
  ['modules without webhooks have holes', HOLES, ['module = any (${ANNOUNCED_MODULES}::text[])', 'true']],
  ['what a pull found is its own announcement', HOLES, [" and p.source = 'webhook'"]],
]);

const REFETCH = 'src/sync/refetch.ts';
const REFETCHES = 'src/sync/refetches.ts';
const refetches = mutantsOf('refetches', 'test/sync/refetch.test.ts', [
  ['an answer from before the question', REFETCHES, [' and wanted_at <= ${fetchedAt}']],
  ['fetched while processing is paused', REFETCH, ['if ((await pauseState(db)).paused) return sum;']],
  [
    'an API that is away changes nothing',
    REFETCH,
    ['if (blamesZoho(error)) await defer(db, key, ids, (error as Error).message);'],
  ],
  ['what Zoho refuses costs no attempt', REFETCHES, ['set attempts = attempts + 1, last_error', 'set last_error']],
  ['an older version is good enough', REFETCHES, ['where b.stale_version > given.version', 'where false']],
  [
    'what a payment names is never fetched',
    REFETCHES,
    ["(r.reason <> 'named' or stored.version >= r.version)", 'true'],
  ],
  ['dead letters are fetched past', REFETCHES, ["where q.status <> 'completed'", 'where false']],
]);

const ACTIVITY = 'src/workflows/activity.ts';
const FENCE = "where id = $1 and lease = $2 and status = 'running' returning id";
const workflows = mutantsOf('workflows', 'test/workflows/model.test.ts', [
  ['no fence', ACTIVITY, [FENCE, "where id = $1 and $2::uuid is not null and status = 'running' returning id"]],
  ['a paused run writes its page', ACTIVITY, [FENCE, FENCE.replace("= 'running'", "<> 'terminated'")]],
  ['a terminated run writes its page', ACTIVITY, [FENCE, FENCE.replace("= 'running'", "<> 'paused'")]],
  [
    'who has lost a run may end it',
    'src/workflows/finish.ts',
    ["where id = ${id} and lease = ${lease} and status = 'running'", "where id = ${id} and status = 'running'"],
  ],
  ['a run in hand is claimed', 'src/workflows/claim.ts', ['and lease is null and run_at', 'and run_at']],
  ['claimed while the queue is paused', 'src/workflows/claim.ts', ['and not (select paused from tds_queue_state)']],
  ['a crash is not charged', 'src/workflows/rescue.ts', ['= r.id then 1 else 0 end', '= r.id then 0 else 0 end']],
]);

const DELETIONS = 'src/sync/deletions.ts';
const guard = mutantsOf('deletions', 'test/sync/approval.test.ts', [
  ['ten are too many', 'src/sync/guard.ts', ['deletions > HARMLESS &&', 'deletions >= HARMLESS &&']],
  [
    'a twentieth is too much',
    'src/sync/guard.ts',
    ['deletions > HARMLESS_PART * records', 'deletions >= HARMLESS_PART * records'],
  ],
  ['approved ones are counted again', DELETIONS, ['needsApproval(fresh.length', 'needsApproval(candidates.length']],
  [
    'withheld and deleted',
    DELETIONS,
    ['withhold ? candidates.filter((id) => approved.has(id)) : candidates', 'candidates'],
  ],
  [
    'an approval lets everything through',
    DELETIONS,
    ['candidates.filter((id) => !approved.has(id));', 'approved.size > 0 ? [] : candidates;'],
  ],
  [
    'nobody has to approve',
    'src/sync/reconcile.ts',
    ['if (approved[0]?.approved_as === run.id) return;', 'if (approved) return;'],
  ],
]);

const QUOTA = 'src/zoho/quota/quota.ts';
const REPORT = 'src/zoho/quota/quota-report.ts';
const quota = [
  ...mutantsOf('quota', 'test/zoho/quota.test.ts', [
    [
      'a call leaves the window a minute after its begin',
      QUOTA,
      [
        'coalesce(ended_at, expires_at) > clock_timestamp() - ${windowMs}',
        'started_at > clock_timestamp() - ${windowMs}',
      ],
    ],
    ['no reserve', QUOTA, ['Math.min(limit - 1, Math.floor(limit * (1 - reserve)))', 'limit']],
    ['calls under way are left of the day', QUOTA, ['day_remaining - unanswered', 'day_remaining']],
    [
      'a late answer raises what is left of the day',
      REPORT,
      ['then least(day_remaining, ${day.remaining}) else', 'then ${day.remaining} else'],
    ],
    [
      'calls of a dead process stay in flight',
      QUOTA,
      ['filter (where ended_at is null and expires_at > clock_timestamp())', 'filter (where ended_at is null)'],
    ],
    [
      "a minute's pause ends that of the day",
      REPORT,
      ["\n      and coalesce(paused_until, '-infinity') < clock_timestamp() + make_interval(secs => ${seconds})"],
    ],
    [
      'the place is free before the pause holds',
      REPORT,
      ["  if (end.kind === 'limited') await pause(db, call.organizationId, end.code);\n"],
      [
        'where id = ${call.callId}`.execute(db);',
        "where id = ${call.callId}`.execute(db);\n  if (end.kind === 'limited') await pause(db, call.organizationId, end.code);",
      ],
    ],
  ]),
  ...mutantsOf('quota', 'test/zoho/quota-shared.test.ts', [
    [
      'processes do not wait for each other',
      QUOTA,
      ['where organization_id = ${organizationId} for update`', 'where organization_id = ${organizationId}`'],
    ],
  ]),
];

const INNER = 'src/sync/inner-records.ts';
const persons = mutantsOf('contact persons', 'test/sync/contact-persons.test.ts', [
  ["a lost person is nobody's business", 'src/sync/rows.ts', ['or ${innerDiffers(organizationId, module)}']],
  ['persons outlive their contact', 'src/sync/reconcile.ts', ['if (!scan.refused) await applyInnerDeletions(scope);']],
  ['entries without an id vanish', INNER, ['=== null).length', '=== null && false).length']],
]);

export const PULL_MUTATIONS: readonly Mutation[] = [
  ...holes,
  ...refetches,
  ...workflows,
  ...guard,
  ...quota,
  ...persons,
];

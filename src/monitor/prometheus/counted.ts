/** What each process counts for itself and adds to `tds_counters`: facts that no table holds. */
import { REJECTION_CAUSES } from '../../inbox/why-rejected.ts';
import type { Labels } from './family.ts';

type Counted = {
  type: 'counter' | 'histogram';
  help: string;
  labelNames: readonly string[];
  /** Upper limits, of a histogram. */
  buckets?: readonly number[];
  /** Shown as 0 before the first: otherwise the first one would be no increase. */
  zero?: readonly Labels[];
};

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Also those of `tds_duration_bucket`, in seconds. */
export const SYNC_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600];

/** What may become of a delivery. */
export const WEBHOOK_RESULTS = ['queued', 'duplicate', 'quarantined', 'check', 'rejected', 'failed'] as const;

const each = (label: string, values: readonly string[]): Labels[] => values.map((value) => ({ [label]: value }));

export const COUNTED = {
  http_requests_total: {
    type: 'counter',
    help: 'HTTP requests by method, route pattern and status; route "unmatched": no route has that path.',
    labelNames: ['method', 'route', 'status'],
  },
  http_request_duration_seconds: {
    type: 'histogram',
    help: 'Time from the arrival of a request to the end of its answer.',
    labelNames: ['method', 'route'],
    buckets: SECONDS,
  },
  http_errors_total: {
    type: 'counter',
    help: 'HTTP requests that were answered with a status of 400 or above.',
    labelNames: ['method', 'route', 'status'],
  },
  webhook_events_total: {
    type: 'counter',
    help: 'Deliveries of Zoho Books by what became of them; failed: answered with 5xx, so that Zoho sends them again.',
    labelNames: ['result'],
    zero: each('result', WEBHOOK_RESULTS),
  },
  tds_webhook_rejections_total: {
    type: 'counter',
    help: 'Deliveries that were rejected (400, 401, 413, 415), by cause.',
    labelNames: ['cause'],
    zero: each('cause', Object.keys(REJECTION_CAUSES)),
  },
  zoho_api_calls_total: {
    type: 'counter',
    help: 'Calls of the Zoho Books API that were sent, by module.',
    labelNames: ['module'],
  },
  zoho_api_errors_total: {
    type: 'counter',
    help: 'Calls of the Zoho Books API that failed, by module and problem.',
    labelNames: ['module', 'problem'],
  },
  zoho_api_call_duration_seconds: {
    type: 'histogram',
    help: 'Time from sending a call of the Zoho Books API to the end of its answer.',
    labelNames: ['module'],
    buckets: SECONDS,
  },
  database_query_duration_seconds: {
    type: 'histogram',
    help: 'Time from sending a statement to PostgreSQL to its answer, by the pool of connections.',
    labelNames: ['pool'],
    buckets: [0.001, ...SECONDS],
  },
  sync_operations_total: {
    type: 'counter',
    help: 'What was synchronised: attempts at events (operation "event"), and workflow runs by name.',
    labelNames: ['operation', 'result'],
    zero: each('operation', ['event', 'SyncAll', 'SyncChanged', 'Reconcile']).flatMap(({ operation = '' }) =>
      ['completed', 'failed'].map((result) => ({ operation, result })),
    ),
  },
  sync_operations_duration_seconds: {
    type: 'histogram',
    help: 'How long these took; of a run, while the worker that ended it had it in hand.',
    labelNames: ['operation'],
    buckets: SYNC_SECONDS,
  },
  tds_pulled_pages_total: {
    type: 'counter',
    help: 'Pages of lists that were read from Zoho Books.',
    labelNames: ['module'],
  },
  tds_pulled_records_total: {
    type: 'counter',
    help: 'Records that pulls and reconciliations have got through.',
    labelNames: ['module'],
  },
  tds_lease_takeovers_total: {
    type: 'counter',
    help: 'Dead workers whose events were taken back by another.',
    labelNames: [],
    zero: [{}],
  },
  tds_lease_takeover_events_total: {
    type: 'counter',
    help: 'Events that were taken back from dead workers.',
    labelNames: [],
    zero: [{}],
  },
} as const satisfies Record<string, Counted>;

type All = typeof COUNTED;
export type CountedName = keyof All;
type NameOf<T extends Counted['type']> = { [N in CountedName]: All[N]['type'] extends T ? N : never }[CountedName];
export type CounterName = NameOf<'counter'>;
export type HistogramName = NameOf<'histogram'>;
export type LabelsOf<N extends CountedName> = Record<All[N]['labelNames'][number], string>;

/** The table as a list, without the types of each entry. */
export const COUNTED_LIST: readonly (Counted & { name: CountedName })[] = Object.entries(COUNTED).map(
  ([name, counted]) => ({ name: name as CountedName, ...(counted as Counted) }),
);

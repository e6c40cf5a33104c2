import type { QueryArrayConfig } from 'pg';

/** What a handler sees of an event, and what the worker needs to finish it. One object per claim of an event. */
export class ClaimedEvent {
  /** The one id of the event: in the inbox, the queue, the logs and the dead letters. */
  readonly id: string;
  readonly lease: string;
  readonly organizationId: string;
  readonly eventType: string;
  readonly entityId: string | null;
  /** Hash of organization, module and entity id, as decimal text. */
  readonly entityKey: string;
  /** Order of arrival among all events, as decimal text. */
  readonly arrival: string;
  readonly priority: number;
  /** Attempts charged before this one. */
  readonly attemptCount: number;
  /** How often in a row it was given back uncharged. */
  readonly releaseCount: number;
  readonly source: string;
  /** Time of the record's own version, from its body. */
  readonly version: Date | null;
  readonly receivedAt: Date;
  /** The record as JSON text, every digit as sent. */
  readonly payloadText: string | null;
  /** Set when the delivery could not be understood: there is nothing to process. */
  readonly quarantineReason: string | null;
  /** The span that stored it, where tracing was on. */
  readonly traceparent: string | null;
  #payload: unknown;

  constructor(row: ClaimedRow, lease: string) {
    this.lease = lease;
    this.id = row[0];
    this.organizationId = row[1];
    this.eventType = row[2];
    this.entityId = row[3];
    this.entityKey = row[4];
    this.arrival = row[5];
    this.priority = Number(row[6]);
    this.attemptCount = Number(row[7]);
    this.releaseCount = Number(row[8]);
    this.receivedAt = new Date(Number(row[9]));
    this.source = row[10];
    this.version = row[11] === null ? null : new Date(Number(row[11]));
    this.payloadText = row[12];
    this.quarantineReason = row[13];
    this.traceparent = row[14];
  }

  get module(): string {
    return this.eventType.slice(0, this.eventType.indexOf('.'));
  }

  get action(): string {
    return this.eventType.slice(this.eventType.indexOf('.') + 1);
  }

  /** Which attempt this is, from 1. */
  get attempt(): number {
    return this.attemptCount + 1;
  }

  /** The record, parsed when first asked for. Numbers beyond 2^53 lose digits: see `payloadText`. */
  get payload(): unknown {
    this.#payload ??= this.payloadText === null ? null : JSON.parse(this.payloadText);
    return this.#payload;
  }

  /** The same for every attempt and every replay of this event: for calls to systems that know idempotency keys. */
  get idempotencyKey(): string {
    return `tds-${this.id}`;
  }
}

/** How to ask `pg` for a `ClaimedRow`: no names, nothing converted. */
export const AS_CLAIMED_ROW: Pick<QueryArrayConfig, 'rowMode' | 'types'> = {
  rowMode: 'array',
  types: { getTypeParser: () => (text: string) => text },
};

/** The columns of `EVENT_COLUMNS`, all as text. */
export type ClaimedRow = [
  id: string,
  organizationId: string,
  eventType: string,
  entityId: string | null,
  entityKey: string,
  arrival: string,
  priority: string,
  attemptCount: string,
  releaseCount: string,
  receivedMs: string,
  source: string,
  versionMs: string | null,
  payload: string | null,
  quarantineReason: string | null,
  traceparent: string | null,
];

/** Of a queue row `q` and its payload `p`, the columns of `ClaimedRow`. The payload itself is read only on demand. */
export const eventColumns = (withPayload: boolean) => `
  q.id, q.organization_id, q.event_type, q.entity_id, q.entity_key, q.arrival, q.priority, q.attempt_count,
  q.release_count, date_part('epoch', q.queued_at) * 1000, coalesce(p.source, 'webhook'), date_part('epoch', p.version) * 1000,
  ${withPayload ? 'p.payload' : 'null'}, case when p.payload is null
    then (select quarantine_reason from tds_inbox_events i where i.event_id = q.id) end,
  p.traceparent`;

/**
 * The payload `p` of each queue row `q`, looked up one by one (`offset 0`). An event whose payload somebody has deleted
 * is claimed too, and fails: left out here, it would be in nobody's hands for ever.
 */
export const PAYLOAD_OF_Q = `left join lateral (
  select source, version, payload, traceparent from tds_inbox_payloads where event_id = q.id offset 0) p on true`;

/** By arrival, which is decimal text. */
export function byArrival(a: { arrival: string }, b: { arrival: string }): number {
  return a.arrival.length - b.arrival.length || (a.arrival < b.arrival ? -1 : Number(a.arrival > b.arrival));
}

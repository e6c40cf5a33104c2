import type { QueryArrayConfig } from 'pg';

/** What a handler sees of an event, and what the worker needs to finish it. One object per claim of an event. */
export class ClaimedEvent {
  readonly id: string;
  readonly eventId: string;
  readonly lease: string;
  readonly claimXid: string;
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
  /** Set when this row is an operator's retry of that dead letter. */
  readonly deadLetterId: string | null;
  readonly source: string;
  /** Time of the record's own version, from its body. */
  readonly version: Date | null;
  readonly receivedAt: Date;
  /** The record as JSON text, every digit as sent. */
  readonly payloadText: string | null;
  /** Set when the delivery could not be understood: there is nothing to process. */
  readonly quarantineReason: string | null;
  #payload: unknown;

  constructor(row: ClaimedRow, lease = row[14]) {
    this.id = row[0];
    this.eventId = row[1] ?? row[0];
    this.claimXid = row[13];
    this.lease = lease;
    this.organizationId = row[2];
    this.eventType = row[3];
    this.entityId = row[4];
    this.arrival = row[5];
    this.priority = Number(row[6]);
    this.attemptCount = Number(row[7]);
    this.deadLetterId = row[8];
    this.source = row[9];
    this.version = row[10] === null ? null : new Date(Number(row[10]));
    this.receivedAt = new Date(Number(row[11]));
    this.payloadText = row[12];
    this.quarantineReason = row[15];
    this.entityKey = row[16];
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
    return `tds-${this.eventId}`;
  }
}

/** How to ask `pg` for a `ClaimedRow`: no names, nothing converted. */
export const AS_CLAIMED_ROW: Pick<QueryArrayConfig, 'rowMode' | 'types'> = {
  rowMode: 'array',
  types: { getTypeParser: () => (text: string) => text },
};

/** The columns in the order in which they are selected, all as text. */
export type ClaimedRow = [
  id: string,
  /** Null: the same as `id`. */
  eventId: string | null,
  organizationId: string,
  eventType: string,
  entityId: string | null,
  arrival: string,
  priority: string,
  attemptCount: string,
  deadLetterId: string | null,
  source: string,
  versionMs: string | null,
  receivedMs: string,
  payload: string | null,
  claimXid: string,
  lease: string,
  quarantineReason: string | null,
  entityKey: string,
  /** Only claim-set.ts. */
  mixed?: string,
];

/**
 * Of a claimed queue row `c` and its payload `p`: the columns of `ClaimedRow` from id to receivedMs. The inbox row of a
 * first attempt says nothing that these two do not, so it is read only for a replay.
 */
export const EVENT_COLUMNS = `
  c.id, nullif(c.event_id, c.id), c.organization_id, c.event_type, c.entity_id, c.arrival, c.priority, c.attempt_count,
  c.dead_letter_id, p.source, date_part('epoch', p.version) * 1000, date_part('epoch', case when c.id = c.event_id
    then c.queued_at else (select received_at from tds_inbox_events where event_id = c.event_id) end) * 1000`;

/** Why a retried dead letter had been quarantined, if it was. */
export const QUARANTINE_REASON = `case when c.dead_letter_id is not null
  then (select quarantine_reason from tds_inbox_events where event_id = c.event_id) end`;

import type { Generated } from 'kysely';
import type { Bigint, Json, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** What the mirror was, and the feed of what changed in it. Triggers on books_records write all but the two one-row tables. */
export type HistoryTables = {
  books_past_records: BooksPastRecords;
  books_history_days: { days: Generated<number> };
  books_changes: BooksChanges;
  books_change_counter: { last_no: Bigint };
};

type BooksPastRecords = {
  organization_id: string;
  module: string;
  entity_id: string;
  valid_from: Timestamp;
  valid_to: Timestamp;
  version: OptionalTimestamp;
  deleted_at: OptionalTimestamp;
  complete: boolean;
  stale_since: OptionalTimestamp;
  received_at: Timestamp;
  event_id: Optional<string>;
  source: string;
  record: Json;
};

type BooksChanges = {
  organization_id: string;
  module: string;
  entity_id: string;
  change_no: Bigint | null;
};

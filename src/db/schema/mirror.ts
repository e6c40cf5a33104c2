import type { Generated } from 'kysely';
import type { GeneratedTimestamp, Json, Optional, OptionalTimestamp } from './columns.ts';

/** Zoho Books, record by record. */
export type MirrorTables = {
  books_records: BooksRecords;
};

export type BooksRecords = {
  organization_id: string;
  module: string;
  entity_id: string;
  version: OptionalTimestamp;
  received_at: GeneratedTimestamp;
  deleted_at: OptionalTimestamp;
  stale_since: OptionalTimestamp;
  complete: Generated<boolean>;
  record: Json;
  event_id: Optional<string>;
  source: string;
  updated_at: GeneratedTimestamp;
  valid_from: OptionalTimestamp;
};

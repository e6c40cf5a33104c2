import type { Generated } from 'kysely';
import type { Bigint, GeneratedTimestamp, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** Which fields records have, as samples show. */
export type FieldTables = {
  tds_fields: Fields;
  tds_field_samples: FieldSamples;
};

export type Fields = {
  module: string;
  field: string;
  first_seen_at: GeneratedTimestamp;
  last_seen_at: GeneratedTimestamp;
  new_since: OptionalTimestamp;
  seen: Bigint;
  offered: Bigint;
  missed: Generated<string>;
  unreadable: Generated<string>;
  unreadable_at: OptionalTimestamp;
  unreadable_entity_id: Optional<string>;
};

export type FieldSamples = {
  module: string;
  records: Bigint;
  last_queued_at: Timestamp;
};

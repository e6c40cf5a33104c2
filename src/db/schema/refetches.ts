import type { Generated } from 'kysely';
import type { GeneratedTimestamp, Optional, OptionalTimestamp } from './columns.ts';

/** Records to be fetched alone. */
export type RefetchTables = {
  tds_refetches: Refetches;
};

export type Refetches = {
  organization_id: string;
  module: string;
  entity_id: string;
  reason: 'partial' | 'named' | 'stale';
  version: OptionalTimestamp;
  wanted_at: GeneratedTimestamp;
  next_at: GeneratedTimestamp;
  attempts: Generated<number>;
  deferrals: Generated<number>;
  last_error: Optional<string>;
  done_at: OptionalTimestamp;
};

import type { Generated } from 'kysely';
import type { GeneratedTimestamp, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** What all processes share before one of them may call Zoho. */
export type ZohoTables = {
  tds_zoho_tokens: ZohoTokens;
  tds_zoho_quota: ZohoQuota;
  tds_zoho_calls: ZohoCalls;
};

export type ZohoTokens = {
  credential: string;
  organizations: Generated<string[]>;
  access_token: Optional<Buffer>;
  api_domain: Optional<string>;
  scopes: Optional<string[]>;
  generation: Generated<string>;
  refreshed_at: OptionalTimestamp;
  expires_at: OptionalTimestamp;
  refresh_lease: Optional<string>;
  refresh_lease_until: OptionalTimestamp;
  token_calls: Generated<Date[]>;
  try_again_at: OptionalTimestamp;
  failure: Optional<string>;
  failed_at: OptionalTimestamp;
  refused_at: OptionalTimestamp;
};

export type ZohoQuota = {
  organization_id: string;
  day_limit: Optional<number>;
  day_remaining: Optional<number>;
  measured_at: OptionalTimestamp;
  day_resets_at: OptionalTimestamp;
  our_calls: Generated<number>;
  our_calls_since: GeneratedTimestamp;
  paused_until: OptionalTimestamp;
  pause_code: Optional<number>;
  pause_reason: Optional<string>;
  in_flight_limit: Optional<number>;
  in_flight_lowered_at: OptionalTimestamp;
  failures: Generated<number>;
  refetch_waits_until: OptionalTimestamp;
  time_zone: Optional<string>;
};

export type ZohoCalls = {
  id: Generated<string>;
  organization_id: string;
  lane: 'refetch' | 'backfill';
  started_at: GeneratedTimestamp;
  expires_at: Timestamp;
  ended_at: OptionalTimestamp;
};

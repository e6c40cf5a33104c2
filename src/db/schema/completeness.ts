import type { Bigint, GeneratedTimestamp, OptionalTimestamp, Timestamp } from './columns.ts';

/** What tells whether every change was announced. */
export type CompletenessTables = {
  tds_change_totals: ChangeTotals;
  tds_holes: Holes;
  tds_zoho_rules: ZohoRules;
};

export type ChangeTotals = {
  organization_id: string;
  module: string;
  bucket: Timestamp;
  webhooks: Bigint;
  pulled: Bigint;
  first_webhook_version: OptionalTimestamp;
  last_webhook_at: OptionalTimestamp;
  last_change_at: OptionalTimestamp;
};

export type Holes = {
  event_id: string;
  organization_id: string;
  module: string;
  entity_id: string;
  version: OptionalTimestamp;
  difference: string;
  changed_at: Timestamp;
  pulled_at: Timestamp;
  found_at: GeneratedTimestamp;
};

export type ZohoRules = {
  organization_id: string;
  module: string;
  problems: string[];
  checked_at: GeneratedTimestamp;
};

import type { Generated } from 'kysely';
import type { Bigint, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** Deliveries that were refused. */
export type RejectionTables = {
  tds_webhook_rejections: WebhookRejections;
  tds_webhook_intake: WebhookIntake;
};

export type WebhookRejections = {
  id: Generated<string>;
  hour: Timestamp;
  cause: string;
  path: string;
  rejections: Bigint;
  first_at: Timestamp;
  last_at: Timestamp;
  bytes: Optional<string>;
  sha256: Optional<string>;
};

export type WebhookIntake = {
  singleton: Generated<boolean>;
  last_accepted_at: OptionalTimestamp;
  rejected_since_accepted: Generated<string>;
};

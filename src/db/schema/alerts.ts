import type { ColumnType, Generated } from 'kysely';
import type { GeneratedTimestamp, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** Incidents, and what is told about them. */
export type AlertTables = {
  tds_alerts: Alerts;
  tds_alert_pending: AlertPending;
  tds_outbox: Outbox;
  tds_notifications: Notifications;
  tds_zoho_totals: ZohoTotals;
};

/** What an incident is about, such as `{ error_tag: 'ConflictError' }`. */
export type Labels = Record<string, string>;

type GeneratedLabels = ColumnType<Labels, string | undefined, string>;

export type Alerts = {
  id: Generated<string>;
  rule: string;
  labels: GeneratedLabels;
  title: string;
  severity: 'critical' | 'warning' | 'info';
  message: string;
  value: Optional<number>;
  threshold: Optional<number>;
  fired_at: GeneratedTimestamp;
  last_seen_at: GeneratedTimestamp;
  acknowledged_at: OptionalTimestamp;
  acknowledged_by: Optional<string>;
  acknowledgement_note: Optional<string>;
  flapping: Generated<boolean>;
  clear_since: OptionalTimestamp;
  superseded: Generated<boolean>;
  notified_at: OptionalTimestamp;
  resolved_at: OptionalTimestamp;
};

export type AlertPending = {
  id: Generated<string>;
  rule: string;
  labels: GeneratedLabels;
  since: Timestamp;
  value: number;
};

/** Who is told: see the migration. */
export type NoticeKind = 'alert' | 'lifecycle' | 'digest' | 'test';

export type Outbox = {
  id: Generated<string>;
  kind: NoticeKind;
  created_at: GeneratedTimestamp;
  body: ColumnType<unknown, string, string>;
};

export type Channel = 'alerts' | 'mail' | 'lifecycle';

export type Notifications = {
  id: Generated<string>;
  channel: Channel;
  kind: NoticeKind;
  created_at: GeneratedTimestamp;
  body: ColumnType<unknown, string, string>;
  attempts: Generated<number>;
  next_attempt_at: GeneratedTimestamp;
  delivered_at: OptionalTimestamp;
  gave_up_at: OptionalTimestamp;
  last_error: Optional<string>;
};

export type ZohoTotals = {
  bucket: Timestamp;
  calls: Generated<string>;
  failures: Generated<string>;
  trips: Generated<string>;
};

import type { ColumnType, Generated } from 'kysely';
import type { GeneratedTimestamp, Json, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** What a pull remembers. */
export type PullTables = {
  tds_pull_rows: PullRows;
  tds_pull_pages: PullPages;
  tds_pulled_changes: PulledChanges;
  tds_pull_marks: PullMarks;
  tds_pull_verdicts: PullVerdicts;
  tds_withheld_deletions: WithheldDeletions;
};

export type PullRows = {
  organization_id: string;
  module: string;
  entity_id: string;
  row_hash: Optional<Buffer>;
  version: OptionalTimestamp;
  event_id: Optional<string>;
  within: Optional<string>;
  without_id: Generated<number>;
};

export type PullPages = {
  run_id: string;
  module: string;
  page: number;
  ids: string[];
  gone: Generated<string[]>;
  todo: Json;
};

export type PulledChanges = {
  event_id: string;
  organization_id: string;
  module: string;
  entity_id: string;
  version: OptionalTimestamp;
  found_at: GeneratedTimestamp;
  difference: 'missing' | 'extra' | 'stale' | 'different' | 'incomplete';
  announced: boolean;
  run_id: Optional<string>;
  reason: string;
  judged_at: OptionalTimestamp;
};

export type PullMarks = {
  organization_id: string;
  module: string;
  known_until: Timestamp;
  scanned_at: OptionalTimestamp;
  scanned_pages: Optional<number>;
  first_pulled_at: Timestamp;
  scanned_records: Optional<number>;
  run_id: string;
  updated_at: GeneratedTimestamp;
};

export type PullVerdicts = {
  run_id: string;
  organization_id: string;
  module: string;
  verdict: 'agrees' | 'repaired' | 'differs' | 'withheld';
  records: number;
  agree: number;
  missing: number;
  extra: number;
  stale: number;
  different: number;
  repaired: number;
  incomplete: number;
  withheld_deletions: number;
  problems: ColumnType<string[], string[] | undefined, string[]>;
  started_at: Timestamp;
  completed_at: GeneratedTimestamp;
};

export type WithheldDeletions = {
  run_id: string;
  organization_id: string;
  module: string;
  ids: string[];
  records: number;
  withheld_at: GeneratedTimestamp;
  ended_at: OptionalTimestamp;
  ended_by: Optional<string>;
};

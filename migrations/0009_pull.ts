import { type Kysely, sql } from 'kysely';

/** What a pull remembers: the rows it has seen, how far it has come, what it wrote, and its verdicts. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [ROWS, PAGES, CHANGES, MARKS, VERDICTS, WITHHELD]) await sql.raw(statements).execute(db);
}

// fillfactor 80: a row is rewritten each time its record changes, and finds room on its page (HOT).
const ROWS = `
create table tds_pull_rows (
  organization_id text collate "C" not null,
  module text collate "C" not null,
  entity_id text collate "C" not null,
  row_hash bytea,
  version timestamptz,
  event_id uuid,
  within text collate "C",
  primary key (module, entity_id, organization_id)
) with (fillfactor = 80);
create index tds_pull_rows_within on tds_pull_rows (organization_id, module, within) where within is not null;

comment on table tds_pull_rows is
  'what is known of each record that was pulled, so that its detail is fetched again only when something is new';
comment on column tds_pull_rows.row_hash is 'SHA-256 of the list row whose record was fetched; null for records within others';
comment on column tds_pull_rows.version is 'the version books_records has once it holds the record that was fetched';
comment on column tds_pull_rows.event_id is 'the event by which books_records holds the record that was fetched';
comment on column tds_pull_rows.within is 'the record in which this one arrives: a contact person''s contact';
`;

const PAGES = `
create table tds_pull_pages (
  run_id uuid not null,
  module text not null,
  page integer not null,
  ids text[] not null,
  gone text[] not null default '{}',
  todo json not null default '[]',
  primary key (run_id, module, page)
);

comment on table tds_pull_pages is 'the pages a run has read; deleted when it ends';
comment on column tds_pull_pages.page is 'page of the list; the one after the last holds records that no page has shown';
comment on column tds_pull_pages.ids is 'ids of the rows that the page held when it was read last';
comment on column tds_pull_pages.gone is 'ids that Zoho, asked for each alone, says do not exist';
comment on column tds_pull_pages.todo is 'rows (id, hash) whose record is still to be fetched';
`;

const CHANGES = `
create table tds_pulled_changes (
  event_id uuid primary key,
  organization_id text not null,
  module text not null,
  entity_id text not null,
  version timestamptz,
  found_at timestamptz not null default now(),
  difference text not null check (difference in ('missing', 'extra', 'stale', 'different', 'incomplete')),
  announced boolean not null,
  run_id uuid,
  reason text not null
);
create index tds_pulled_changes_run on tds_pulled_changes (run_id, module) where run_id is not null;
create index tds_pulled_changes_found on tds_pulled_changes (found_at);
create index tds_pulled_changes_unannounced on tds_pulled_changes (organization_id, module, found_at) where not announced;

comment on table tds_pulled_changes is 'every difference that a pull found and sent through the queue, by the event that carries it';
comment on column tds_pulled_changes.version is 'the version of the record in Zoho; null for a deletion';
comment on column tds_pulled_changes.difference is
  'how the mirror differed: no such record, one too many, an older version, another content, or parts of it only';
comment on column tds_pulled_changes.announced is
  'a webhook (or an earlier pull) had told of this version before; if not, the pull was the first to see the change';
comment on column tds_pulled_changes.run_id is 'the workflow that found it; null for a record that was fetched alone';
comment on column tds_pulled_changes.reason is 'what the pull was for: the name of the workflow, or why one record was fetched';
`;

const MARKS = `
create table tds_pull_marks (
  organization_id text not null,
  module text not null,
  known_until timestamptz not null,
  scanned_at timestamptz,
  scanned_pages integer,
  run_id uuid not null,
  updated_at timestamptz not null default now(),
  primary key (organization_id, module)
);

comment on table tds_pull_marks is 'how far each module has been pulled; moves only when a whole run of the module has ended well';
comment on column tds_pull_marks.known_until is 'every change before this has been pulled: the start of the run';
comment on column tds_pull_marks.scanned_at is 'start of the last run that read the whole list; null when none has';
comment on column tds_pull_marks.scanned_pages is 'pages of that list: what it costs to read it again';
`;

const VERDICTS = `
create table tds_pull_verdicts (
  run_id uuid not null,
  organization_id text not null,
  module text not null,
  verdict text not null check (verdict in ('agrees', 'repaired', 'differs', 'withheld')),
  records integer not null,
  agree integer not null,
  missing integer not null,
  extra integer not null,
  stale integer not null,
  different integer not null,
  repaired integer not null,
  incomplete integer not null,
  withheld_deletions integer not null,
  problems text[] not null default '{}',
  started_at timestamptz not null,
  completed_at timestamptz not null default now(),
  primary key (run_id, module)
);
create index tds_pull_verdicts_latest on tds_pull_verdicts (organization_id, module, completed_at desc);

comment on table tds_pull_verdicts is 'how each reconciliation of a module ended';
comment on column tds_pull_verdicts.records is 'live records in Zoho';
comment on column tds_pull_verdicts.agree is 'of these, how many the mirror holds as Zoho does, counted in the mirror at the end';
comment on column tds_pull_verdicts.missing is 'records the mirror lacked when the run found them; extra, stale, different and incomplete likewise';
comment on column tds_pull_verdicts.repaired is 'how many of the differences were gone at the end';
comment on column tds_pull_verdicts.problems is 'sentences about what the run could not see or believe; without any, the counts are all there is';
`;

const WITHHELD = `
create table tds_withheld_deletions (
  run_id uuid not null,
  organization_id text not null,
  module text not null,
  ids text[] not null,
  records integer not null,
  withheld_at timestamptz not null default now(),
  ended_at timestamptz,
  ended_by uuid,
  primary key (run_id, module)
);
create index tds_withheld_deletions_open on tds_withheld_deletions (organization_id, module) where ended_at is null;

comment on table tds_withheld_deletions is 'deletions that a reconciliation found and did not apply: too many at once';
comment on column tds_withheld_deletions.records is 'live records of the module in the mirror, of which ids would have been deleted';
comment on column tds_withheld_deletions.ended_at is 'when a later reconciliation, approved or not, decided anew; null while they wait';
comment on column tds_withheld_deletions.ended_by is 'that reconciliation';
`;

import { type Kysely, sql } from 'kysely';

/**
 * Roll-ups per hour, day and week. Triggers append what has happened to tds_metrics_changes, in the transaction in which
 * it happens; tds_metrics_fold adds the changes up. So nothing is counted twice or lost, whatever dies, a late row counts
 * in its own hour, and roll-ups with the changes that wait are exact in every snapshot.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [
    ...[COLUMNS, TABLES, COMMENTS, SINCE, LOGS, INBOX, REJECTIONS, PULLED],
    ...[FOLD, RECOUNT, TRUNCATED, REBUILD, READ, BACKFILL, RESOLUTIONS, ALWAYS],
  ]) {
    await sql.raw(statements).execute(db);
  }
}

// As in 0005: a trigger finds a few rows in tables of millions, and the planner knows nothing of the changed ones.
const BY_INDEX = `language plpgsql set search_path = public
  set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off`;
// A recount reads whole tables, also for a session that is told to go by index.
const BY_TABLE = `set search_path = public set jit = off
  set enable_seqscan = on set enable_bitmapscan = on set enable_hashjoin = on set enable_mergejoin = on`;

const KEY = ['organization_id', 'source', 'event_type'];
const NUMBERS = [
  ...['received', 'rejected', 'completed', 'failed', 'dead', 'run_us', 'wait_us'],
  ...['pulled_pages', 'pulled_records'],
];
const HISTOGRAMS = ['run', 'wait'];
const MEASURES = [...NUMBERS, ...HISTOGRAMS];
/** In milliseconds: place n counts what took less than the nth bound and not less than the one before, the last the rest. */
const BOUNDS = {
  run: [10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000],
  wait: [100, 500, 1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000],
};
const PLACES = Array.from({ length: BOUNDS.run.length + 1 }, (_, n) => n + 1);

const key = KEY.join(', ');
const measures = MEASURES.join(', ');
const ofMeasures = (write: (measure: string) => string) => MEASURES.map(write).join(', ');
const array = (write: (place: number) => string) => `array[${PLACES.map(write).join(', ')}]::bigint[]`;
const hourOf = (time: string) => `date_trunc('hour', ${time}, 'UTC')`;
/** Sums of all measures over some rows of tds_metrics_changes or of the like. */
const SUMS = [
  ...NUMBERS.map((measure) => `coalesce(sum(${measure}), 0)::bigint as ${measure}`),
  ...HISTOGRAMS.map((measure) => `${array((n) => `coalesce(sum(${measure}[${n}]), 0)`)} as ${measure}`),
].join(', ');
const ANY_SUM = [
  ...NUMBERS.map((measure) => `sum(${measure}) <> 0`),
  ...HISTOGRAMS.flatMap((measure) => PLACES.map((n) => `sum(${measure}[${n}]) <> 0`)),
].join(' or ');
const NEGATED = [
  ...NUMBERS.map((measure) => `-${measure}`),
  ...HISTOGRAMS.map((measure) => array((n) => `-${measure}[${n}]`)),
].join(', ');

// Null for what came by webhook, which so costs no byte.
const COLUMNS = `
alter table tds_inbox_events add column came_by text check (came_by in ('pull', 'operator'));
comment on column tds_inbox_events.came_by is 'source in tds_inbox_payloads, but null for a webhook: to count it nobody has to look there';
create index tds_inbox_events_received_at on tds_inbox_events using brin (received_at) with (autosummarize = on);
alter table tds_sync_logs add column waited_ms double precision;
comment on column tds_sync_logs.waited_ms is 'between the moment the event was due and that in which a worker took it; null where the attempt has set another such moment';
`;

const TABLES = `
create table tds_metrics_periods (
  period text not null check (period in ('hour', 'day', 'week')),
  starts_at timestamptz not null,
  organization_id text not null,
  source text not null,
  event_type text not null,
  ${NUMBERS.map((measure) => `${measure} bigint not null,`).join('\n  ')}
  ${HISTOGRAMS.map((measure) => `${measure} bigint[] not null,`).join('\n  ')}
  primary key (period, starts_at, organization_id, source, event_type)
) with (fillfactor = 60);

create table tds_metrics_changes (
  hour timestamptz not null,
  organization_id text not null,
  source text not null,
  event_type text not null,
  ${NUMBERS.map((measure) => `${measure} bigint,`).join('\n  ')}
  ${HISTOGRAMS.map((measure) => `${measure} bigint[]`).join(',\n  ')}
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

create table tds_metrics_state (
  singleton boolean primary key default true check (singleton),
  frozen_until timestamptz not null default '-infinity',
  checked_at timestamptz,
  drift bigint
);
insert into tds_metrics_state default values;

create function tds_run_bounds() returns double precision[] language sql immutable parallel safe
return array[${BOUNDS.run.join(', ')}]::double precision[];
create function tds_wait_bounds() returns double precision[] language sql immutable parallel safe
return array[${BOUNDS.wait.join(', ')}]::double precision[];
comment on function tds_run_bounds is 'bounds of tds_metrics_periods.run, in milliseconds';
comment on function tds_wait_bounds is 'bounds of tds_metrics_periods.wait, in milliseconds';
`;

const MEANINGS: Record<string, string> = {
  organization_id: 'organization in Zoho Books; empty where nobody has proved it, as of a rejected delivery',
  source: 'how the event came in: webhook, pull or operator; empty when its inbox row is gone',
  event_type: 'module and action; <module>.pulled for pages and records of a pull; empty for rejected deliveries',
  received: 'rows of tds_inbox_events by received_at, quarantined ones included',
  rejected: 'deliveries that were refused, as tds_webhook_rejections counts them',
  completed: 'attempts that completed their event',
  failed: 'attempts that were charged and failed, the deadly ones included',
  dead: 'attempts after which their event was a dead letter',
  run_us: 'how long these attempts took, added up, in microseconds',
  wait_us: 'how long their events had been due before, added up, in microseconds: see tds_sync_logs.waited_ms',
  pulled_pages: "pages that pulls read of Zoho's lists",
  pulled_records: 'records that pulls fetched from Zoho',
  run: 'the same attempts by how long they took: one count for each of tds_run_bounds, and one beyond them',
  wait: 'the same attempts by how long their events had been due: one count for each of tds_wait_bounds, and one beyond',
};

const COMMENTS = `
comment on table tds_metrics_periods is 'what happened, per hour, day and week (UTC, from Monday), without what still waits in tds_metrics_changes';
comment on column tds_metrics_periods.period is 'hour, day or week';
comment on column tds_metrics_periods.starts_at is 'when the period began';
comment on table tds_metrics_changes is 'what happened and is not yet in tds_metrics_periods; rows of one key add up';
comment on column tds_metrics_changes.hour is 'begin of the hour in which it happened, UTC';
${Object.entries(MEANINGS)
  .flatMap(([column, meaning]) =>
    ['tds_metrics_periods', 'tds_metrics_changes'].map(
      (table) => `comment on column ${table}.${column} is '${meaning.replaceAll("'", "''")}';`,
    ),
  )
  .join('\n')}
comment on table tds_metrics_state is 'how far the roll-ups can be compared with the tables, and the last comparison: one row';
comment on column tds_metrics_state.singleton is 'there is one row only';
comment on column tds_metrics_state.frozen_until is 'rows before this may have been purged';
comment on column tds_metrics_state.checked_at is 'when the roll-ups were last compared with the tables';
comment on column tds_metrics_state.drift is 'how many of them differed then';
`;

// Older hours are history: what is deleted from the tables there, by the purge or by hand, has happened all the same.
const SINCE = `
create function tds_metrics_since() returns timestamptz language sql stable set search_path = public
return (select greatest(${hourOf("now() - interval '3 days'")},
  case when frozen_until = '-infinity' then frozen_until else ${hourOf("frozen_until + interval '1 hour'")} end)
  from tds_metrics_state);
comment on function tds_metrics_since is 'roll-ups from this hour on follow the tables, also when rows are altered or deleted by hand; older ones only grow';
`;

const FAILED = `status in ('retry', 'dead_letter', 'crashed')`;
const CHARGED = `status <> 'released'`;

const LOOK_UP = `left join lateral (
      select organization_id, came_by, event_type from tds_inbox_events where event_id = l.queue_id offset 0) i on true`;
const JOIN = 'left join tds_inbox_events i on i.event_id = l.queue_id';

/** What attempts count for, out of \`rows\`: a table, or a subquery, with the columns of tds_sync_logs. */
function ofLogs(rows: string, { sign = '', since = '', join = LOOK_UP } = {}): string {
  const count = (condition: string) => `nullif(${sign}count(*) filter (where ${condition}), 0)`;
  const microseconds = (column: string) => `${sign}coalesce(sum((${column} * 1000)::bigint), 0)::bigint`;
  const histogram = (place: string) => array((n) => `${sign}count(*) filter (where ${place} = ${n - 1})`);
  return `
    select ${hourOf('created_at')} as hour, coalesce(i.organization_id, '') as organization_id,
      case when i.event_type is null then '' else coalesce(i.came_by, 'webhook') end as source,
      coalesce(i.event_type, '') as event_type, ${count("status = 'completed'")} as completed, ${count(FAILED)} as failed,
      ${count("status = 'dead_letter'")} as dead, ${microseconds('duration_ms')} as run_us,
      ${microseconds('waited_ms')} as wait_us,
      ${histogram('run_place')} as run,
      case when count(waited_ms) > 0 then ${histogram('wait_place')} end as wait
    from (select *, width_bucket(duration_ms, tds_run_bounds()) as run_place,
        width_bucket(waited_ms, tds_wait_bounds()) as wait_place
      from ${rows} l where ${CHARGED} ${since && `and created_at >= ${since}`}) l
    ${join}
    group by 1, 2, 3, 4`;
}

const LOG_COLUMNS = `hour, ${key}, completed, failed, dead, run_us, wait_us, run, wait`;
const addLogs = (rows: string, options?: { sign?: string; since?: string }) =>
  `insert into tds_metrics_changes (${LOG_COLUMNS}) ${ofLogs(rows, options)};`;

const LOGS = `
create function tds_metrics_logs_inserted() returns trigger ${BY_INDEX} as $$
begin
  ${addLogs('new_rows')}
  return null;
end $$;
create trigger tds_sync_logs_metrics_inserted after insert on tds_sync_logs
  referencing new table as new_rows for each statement execute function tds_metrics_logs_inserted();

create function tds_metrics_logs_deleted() returns trigger ${BY_INDEX} as $$
begin
  ${addLogs('old_rows', { sign: '-', since: 'tds_metrics_since()' })}
  return null;
end $$;
create trigger tds_sync_logs_metrics_deleted after delete on tds_sync_logs
  referencing old table as old_rows for each statement execute function tds_metrics_logs_deleted();

create function tds_metrics_log_updated() returns trigger ${BY_INDEX} as $$
begin
  if old.created_at < tds_metrics_since() then return null; end if;
  ${addLogs('(select old.*)', { sign: '-' })}
  ${addLogs('(select new.*)')}
  return null;
end $$;
create trigger tds_sync_logs_metrics_updated after update on tds_sync_logs
  for each row execute function tds_metrics_log_updated();
`;

const RECEIVED = `${hourOf('received_at')}, organization_id, coalesce(came_by, 'webhook'), event_type`;
const received = (rows: string, { sign = '', where = '' } = {}) => `
  insert into tds_metrics_changes (hour, ${key}, received)
  select ${RECEIVED}, ${sign}count(*) from ${rows} i ${where} group by 1, 2, 3, 4;`;
const LOGS_OF = (id: string) => `(select * from tds_sync_logs where queue_id = ${id})`;

// An inbox row says of which organization, source and type the attempts at its event were: they move with it. The names
// of the triggers: these run before tds_inbox_events_deleted.
const INBOX = `
create function tds_metrics_inbox_inserted() returns trigger ${BY_INDEX} as $$
begin
  ${received('new_rows')}
  return null;
end $$;
create trigger tds_inbox_events_count_inserted after insert on tds_inbox_events
  referencing new table as new_rows for each statement execute function tds_metrics_inbox_inserted();

create function tds_metrics_move_logs(id uuid, was tds_inbox_events, is_now tds_inbox_events) returns void ${BY_INDEX} as $$
begin
  insert into tds_metrics_changes (${LOG_COLUMNS})
  select a.hour, k.organization_id, k.source, k.event_type, k.sign * completed, k.sign * failed, k.sign * dead,
    k.sign * run_us, k.sign * wait_us, ${array((n) => `k.sign * run[${n}]`)},
    case when wait is not null then ${array((n) => `k.sign * wait[${n}]`)} end
  from (${ofLogs(LOGS_OF('id'), { since: 'tds_metrics_since()' })}) a cross join (values
    (-1, was.organization_id, coalesce(was.came_by, 'webhook'), was.event_type),
    (1, coalesce(is_now.organization_id, ''), case when is_now.event_id is null then '' else coalesce(is_now.came_by, 'webhook') end,
      coalesce(is_now.event_type, ''))) k (sign, organization_id, source, event_type);
end $$;

create function tds_metrics_inbox_changed() returns trigger ${BY_INDEX} as $$
begin
  if old.received_at >= tds_metrics_since() then
    ${received('(select old.*)', { sign: '-' })}
    if tg_op = 'UPDATE' then ${received('(select new.*)')} end if;
  end if;
  perform tds_metrics_move_logs(old.event_id, old, new);
  return null;
end $$;
create trigger tds_inbox_events_count_updated after update of received_at, organization_id, came_by, event_type
  on tds_inbox_events for each row when ((old.received_at, old.organization_id, old.came_by, old.event_type)
    is distinct from (new.received_at, new.organization_id, new.came_by, new.event_type))
  execute function tds_metrics_inbox_changed();
create trigger tds_inbox_events_count_deleted after delete on tds_inbox_events
  for each row execute function tds_metrics_inbox_changed();
`;

const REJECTIONS = `
create function tds_metrics_rejections_changed() returns trigger language plpgsql set search_path = public as $$
begin
  if tg_op <> 'INSERT' and old.hour < tds_metrics_since() then return null; end if;
  insert into tds_metrics_changes (hour, ${key}, rejected)
  select ${hourOf('hour')}, '', 'webhook', '', sum(rejections)
  from (values (old.hour, -old.rejections), (new.hour, new.rejections)) v (hour, rejections)
  where hour is not null group by 1 having sum(rejections) <> 0;
  return null;
end $$;
create trigger tds_webhook_rejections_metrics after insert or update or delete on tds_webhook_rejections
  for each row execute function tds_metrics_rejections_changed();
`;

// What a page or a set of records left behind as its checkpoint, see sync/scan.ts and sync/fetch-todo.ts.
const ofActivities = (rows: string, { sign = '', where = '' } = {}) => `
    select ${hourOf('a.completed_at')} as hour, w.organization_id, 'pull' as source,
      split_part(a.name, ' ', 1) || '.pulled' as event_type,
      ${sign}count(*) filter (where a.output ? 'reached' and a.output ->> 'refusal' is null) as pulled_pages,
      ${sign}coalesce(sum((a.output ->> 'fetched')::bigint), 0) as pulled_records
    from ${rows} a join tds_workflows w on w.id = a.workflow_id
    where a.status = 'completed' and (a.output ? 'reached' or a.output ? 'fetched') ${where} group by 1, 2, 3, 4`;
const addActivities = (rows: string, options?: { sign?: string; where?: string }) =>
  `insert into tds_metrics_changes (hour, ${key}, pulled_pages, pulled_records) ${ofActivities(rows, options)};`;

// A run that is deleted takes its activities along: then its row is gone when theirs go.
const PULLED = `
create function tds_metrics_activity_changed() returns trigger ${BY_INDEX} as $$
begin
  if tg_op <> 'INSERT' and old.status = 'completed' then
    if old.completed_at < tds_metrics_since() then return null; end if;
    ${addActivities('(select old.*)', { sign: '-' })}
  end if;
  if tg_op <> 'DELETE' then ${addActivities('(select new.*)')} end if;
  return null;
end $$;
create trigger tds_workflow_activities_metrics_added after insert on tds_workflow_activities for each row
  when (new.status = 'completed') execute function tds_metrics_activity_changed();
create trigger tds_workflow_activities_metrics_updated after update on tds_workflow_activities for each row
  when (old.status = 'completed' or new.status = 'completed') execute function tds_metrics_activity_changed();
create trigger tds_workflow_activities_metrics_deleted after delete on tds_workflow_activities for each row
  when (old.status = 'completed') execute function tds_metrics_activity_changed();

create function tds_metrics_run_deleted() returns trigger ${BY_INDEX} as $$
begin
  ${addActivities('tds_workflow_activities', { sign: '-', where: 'and a.workflow_id = old.id and a.completed_at >= tds_metrics_since()' })}
  return old;
end $$;
create trigger tds_workflows_metrics_deleted before delete on tds_workflows
  for each row execute function tds_metrics_run_deleted();
`;

const ALONE = `hashtext('tds_metrics')`;

// One process at a time, and nobody waits for its turn. In the order of the key, as everybody who writes periods.
const FOLD = `
create function tds_metrics_fold() returns bigint language plpgsql set search_path = public as $$
declare
  folded bigint;
begin
  if not pg_try_advisory_xact_lock(${ALONE}) then return 0; end if;
  with changes as (
    delete from tds_metrics_changes where ctid = any (array(select ctid from tds_metrics_changes limit 10000)) returning *),
  written as (
    insert into tds_metrics_periods as m (period, starts_at, ${key}, ${measures})
    select period, date_trunc(period, hour, 'UTC'), ${key}, ${SUMS}
    from changes cross join (values ('hour'), ('day'), ('week')) p (period)
    group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
    on conflict (period, starts_at, ${key}) do update set ${[
      ...NUMBERS.map((measure) => `${measure} = m.${measure} + excluded.${measure}`),
      ...HISTOGRAMS.map((measure) => `${measure} = ${array((n) => `m.${measure}[${n}] + excluded.${measure}[${n}]`)}`),
    ].join(', ')})
  select count(*) into folded from changes;
  return folded;
end $$;
comment on function tds_metrics_fold is 'adds up to 10,000 rows of tds_metrics_changes to the roll-ups and says how many; 0 while another session does';
`;

/** Everything that the tables say has happened since \`since\`, with a row per key and table. */
const FACTS = `
  select hour, ${key}, ${MEASURES.join(', ')} from (
    select ${RECEIVED}, count(*) from tds_inbox_events where received_at >= since group by 1, 2, 3, 4) i (hour, ${key}, received)
    cross join ${nothingOf(['received'])}
  union all
  select hour, ${key}, ${MEASURES.join(', ')} from (${ofLogs('tds_sync_logs', { since: 'since', join: JOIN })}) l
    cross join ${nothingOf(['completed', 'failed', 'dead', 'run_us', 'wait_us', 'run', 'wait'])}
  union all
  select hour, ${key}, ${MEASURES.join(', ')} from (
    select ${hourOf('hour')}, '', 'webhook', '', sum(rejections)::bigint from tds_webhook_rejections where hour >= since
    group by 1) r (hour, ${key}, rejected) cross join ${nothingOf(['rejected'])}
  union all
  select hour, ${key}, ${MEASURES.join(', ')} from (${ofActivities('tds_workflow_activities', { where: 'and a.completed_at >= since' })}) a
    cross join ${nothingOf(['pulled_pages', 'pulled_records'])}`;

/** One row of nulls for the measures that a part of the facts does not have. */
function nothingOf(has: string[]): string {
  const numbers = NUMBERS.filter((measure) => !has.includes(measure));
  const histograms = HISTOGRAMS.filter((measure) => !has.includes(measure));
  const nulls = [...numbers.map((n) => `null::bigint as ${n}`), ...histograms.map((n) => `null::bigint[] as ${n}`)];
  return `(select ${nulls.join(', ')}) nothing`;
}

// Each is one statement: what is counted and what waits to be added are of one snapshot, so that whatever others commit
// meanwhile is in neither, and counted later.
const RECOUNT = `
create function tds_metrics_recount(since timestamptz) returns void language plpgsql ${BY_TABLE} as $$
begin
  perform pg_advisory_xact_lock(${ALONE});
  with gone as (delete from tds_metrics_changes where hour >= since),
  facts as (
    ${FACTS}
    union all
    select starts_at, ${key}, ${[...NUMBERS.map(() => '0'), ...HISTOGRAMS.map(() => 'null')].join(', ')}
    from tds_metrics_periods where period = 'hour' and starts_at >= since)
  insert into tds_metrics_periods (period, starts_at, ${key}, ${measures})
  select 'hour', hour, ${key}, ${SUMS} from facts group by 2, 3, 4, 5 order by 2, 3, 4, 5
  on conflict (period, starts_at, ${key}) do update set ${ofMeasures((measure) => `${measure} = excluded.${measure}`)};

  insert into tds_metrics_periods (period, starts_at, ${key}, ${measures})
  select p.period, date_trunc(p.period, starts_at, 'UTC'), ${key}, ${SUMS}
  from tds_metrics_periods h cross join (values ('day'), ('week')) p (period)
  where h.period = 'hour' and starts_at >= date_trunc(p.period, since, 'UTC')
  group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
  on conflict (period, starts_at, ${key}) do update set ${ofMeasures((measure) => `${measure} = excluded.${measure}`)};
end $$;
comment on function tds_metrics_recount is 'counts the roll-ups anew from the tables, from the given hour on';

create function tds_metrics_drift(since timestamptz) returns bigint language plpgsql ${BY_TABLE} as $$
begin
  return (select count(*) from (
    select from (
      ${FACTS}
      union all
      select starts_at, ${key}, ${NEGATED} from tds_metrics_periods where period = 'hour' and starts_at >= since
      union all
      select hour, ${key}, ${NEGATED} from tds_metrics_changes where hour >= since) both_sides
    group by hour, ${key} having ${ANY_SUM}) differing);
end $$;
comment on function tds_metrics_drift is 'how many hourly roll-ups differ from what the tables say, from the given hour on';

create function tds_metrics_check() returns bigint language plpgsql set search_path = public as $$
declare
  differing bigint := tds_metrics_drift(tds_metrics_since());
begin
  update tds_metrics_state set checked_at = now(), drift = differing;
  return differing;
end $$;
comment on function tds_metrics_check is 'compares the roll-ups with the tables and remembers how many differ, for the alert';
`;

// Nothing tells what was in a table that is empty now.
const TRUNCATED = `
create function tds_metrics_truncated() returns trigger language plpgsql set search_path = public as $$
begin
  perform tds_metrics_recount(tds_metrics_since());
  return null;
end $$;
${['tds_sync_logs', 'tds_inbox_events', 'tds_webhook_rejections', 'tds_workflow_activities']
  .map(
    (table) =>
      `create trigger ${table}_metrics_truncated after truncate on ${table} for each statement execute function tds_metrics_truncated();`,
  )
  .join('\n')}
`;

const REBUILD = `
alter function tds_rebuild() rename to tds_rebuild_queue;
create function tds_rebuild() returns table (what text, was bigint, is_now bigint) language plpgsql
set search_path = public as $$
declare
  since constant timestamptz := tds_metrics_since();
  differing bigint;
begin
  return query select * from tds_rebuild_queue();
  differing := tds_metrics_drift(since);
  if differing > 0 then
    perform tds_metrics_recount(since);
    return query select 'roll-ups that differ from the tables', differing, 0::bigint;
  end if;
  update tds_metrics_state set checked_at = now(), drift = 0;
end $$;
comment on function tds_rebuild is 'derives everything from tds_sync_queue, tds_sync_logs and tds_inbox_events anew, roll-ups of the last three days included, and says what differed';
`;

const READ = `
create function tds_metrics(asked text, since timestamptz) returns setof tds_metrics_periods language sql stable
set search_path = public
begin atomic
  select asked, starts_at, ${key}, ${SUMS} from (
    select starts_at, ${key}, ${measures} from tds_metrics_periods where period = asked and starts_at >= since
    union all
    select date_trunc(asked, hour, 'UTC'), ${key}, ${measures} from tds_metrics_changes
    where date_trunc(asked, hour, 'UTC') >= since) m
  group by starts_at, ${key};
end;
comment on function tds_metrics is 'the roll-ups per hour, day or week that begin at the given time or later, the current one up to this moment';
`;

const BACKFILL = `select tds_metrics_recount('-infinity')`;

const RESOLUTIONS = `
create table tds_sync_resolutions (
  workflow_id uuid primary key references tds_workflows on delete cascade,
  resolved_at timestamptz not null default now(),
  resolved_by text not null
);
comment on table tds_sync_resolutions is 'failed runs that an operator has dealt with';
comment on column tds_sync_resolutions.resolved_at is 'says nothing about a run that has failed again since';
comment on column tds_sync_resolutions.resolved_by is 'that operator';
`;

// As in 0005: also for a session whose role or database sets session_replication_role to replica.
const ALWAYS = [
  ...['tds_sync_logs', 'tds_inbox_events', 'tds_webhook_rejections', 'tds_workflow_activities', 'tds_workflows'],
]
  .map(
    (table) => `
do $$ declare name text; begin
  for name in select tgname from pg_trigger where tgrelid = '${table}'::regclass and tgname ~ 'metrics|_count_' loop
    execute format('alter table ${table} enable always trigger %I', name);
  end loop;
end $$;`,
  )
  .join('');

import { type Kysely, sql } from 'kysely';

/** What the error report tells of runs: the last failure, also after a retry, and when an activity is tried again. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(ERRORS).execute(db);
}

// A database in which no workflow can run has no errors of theirs.
const ERRORS = `
do $migration$ begin
  if to_regclass('tds_workflows') is null then return; end if;
  alter table tds_workflow_activities add column next_attempt_at timestamptz;
  comment on column tds_workflow_activities.next_attempt_at is 'when the next attempt comes, while the status is retry';

  alter table tds_workflows add column last_failed_at timestamptz, add column last_failure jsonb;
  comment on column tds_workflows.last_failed_at is 'when it failed last; stays when it is retried';
  comment on column tds_workflows.last_failure is
    'the result it had then, with the activity that failed and its attempts';
  create index tds_workflows_erred on tds_workflows (last_failed_at) where last_failed_at is not null;

  create function tds_workflow_remember_failure() returns trigger language plpgsql set search_path = public as $$
  begin
    new.last_failed_at := new.updated_at;
    new.last_failure := new.result || coalesce((
      select jsonb_build_object('activity', name, 'attempt', attempt) from tds_workflow_activities
      where workflow_id = new.id order by position desc limit 1), '{}');
    return new;
  end $$;
  create trigger tds_workflows_failure_inserted before insert on tds_workflows for each row
    when (new.status = 'failed') execute function tds_workflow_remember_failure();
  create trigger tds_workflows_failure_updated before update on tds_workflows for each row
    when (new.status = 'failed' and old.status <> 'failed') execute function tds_workflow_remember_failure();
  update tds_workflows set last_failed_at = updated_at, last_failure = result where status = 'failed';
end $migration$;
`;

import { type Kysely, sql } from 'kysely';

/** Announces a workflow that failed, in the transaction in which it fails. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(FAILED).execute(db);
}

// A database in which no workflow can run has nothing to announce.
const FAILED = `
do $migration$ begin
  if to_regclass('tds_workflows') is null then return; end if;
  create function tds_workflow_failed() returns trigger language plpgsql set search_path = public as $$
  begin
    insert into tds_outbox (kind, body) values ('lifecycle', jsonb_build_object('type', 'workflow.failed',
      'error_tag', coalesce(new.result ->> 'tag', 'UnknownError'), 'count', 1,
      'event_types', jsonb_build_array(new.name), 'example_ids', jsonb_build_array(new.id)));
    return null;
  end $$;
  create trigger tds_workflows_failed_announced after update on tds_workflows for each row
    when (new.status = 'failed' and old.status is distinct from new.status) execute function tds_workflow_failed();
end $migration$;
`;

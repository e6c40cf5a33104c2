import pg from 'pg';

const CONNECT_MS = 1000;
const STATEMENT_MS = 1000;

/**
 * The death of this worker, for whoever takes its events over: at once instead of at the end of the lease, and with
 * the event that is to be charged for it (null: unknown, or none).
 */
const RECORD = `update tds_workers set culprit = $2, expires_at = least(expires_at, statement_timestamp())
                where worker_id = $1`;

/** Records it on a connection of its own. @throws Error when the database does not answer within 2 s */
export async function recordCulprit(databaseUrl: string, workerId: string, culprit: string | null): Promise<void> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'tds-core-worker watchdog',
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: STATEMENT_MS,
    statement_timeout: STATEMENT_MS,
  });
  client.on('error', () => {}); // the statement rejects as well
  await client.connect();
  await client.query(RECORD, [workerId, culprit]);
}

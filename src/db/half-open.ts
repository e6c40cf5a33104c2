import type { Pool, PoolClient } from 'pg';

/** A statement that has run for so long is looked after, again and again. */
const LOOK_MS = 5000;

/**
 * Resolves or rejects as `statement` does, which runs on `client`. When the network swallows a statement or its answer,
 * nobody is told, and the time-out of the handler may be hours away. So the server is asked over another connection
 * what it is doing for this one: when it is doing nothing at two looks in a row, the connection is ended, and the
 * statement rejects as one whose connection was lost.
 */
export async function endWhenHalfOpen<T>(client: PoolClient, statement: Promise<T>, observer: Pool): Promise<T> {
  let idleLooks = 0;
  let looking = false;
  const look = async () => {
    if (looking) return;
    looking = true;
    const active = await isActive(observer, processId(client)).catch(() => true);
    looking = false;
    idleLooks = active ? 0 : idleLooks + 1;
    if (idleLooks >= 2) destroy(client);
  };
  const timer = setInterval(look, LOOK_MS).unref();
  return statement.finally(() => clearInterval(timer));
}

/** Also true behind a pooler, which gives out process ids of its own, so that nothing can be said. */
async function isActive(observer: Pool, pid: number): Promise<boolean> {
  const client = await observer.connect();
  try {
    const { rows } = await client.query<{ active: boolean }>(
      `select pg_backend_pid() <> $2 or exists (
         select from pg_stat_activity where pid = $1 and state = 'active') as active`,
      [pid, processId(client)],
    );
    return rows[0]?.active ?? true;
  } finally {
    client.release();
  }
}

function processId(client: PoolClient): number {
  return (client as unknown as { processID: number }).processID;
}

function destroy(client: PoolClient): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(error: Error): void } } };
  connection.stream.destroy(new Error('Connection terminated unexpectedly'));
}

import type { Pool, PoolClient } from 'pg';
import { ownStatement } from './origin.ts';

/**
 * Runs `work` between BEGIN and COMMIT on one client; rolls back when it throws. A broken client is not reused.
 * @param begin the BEGIN itself, with `set local` statements after it where the transaction needs them
 */
export async function inTransaction<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  begin = 'begin',
): Promise<T> {
  const client = await pool.connect().catch(ownStatement);
  let broken: Error | undefined;
  try {
    await client.query(begin).catch(ownStatement);
    const result = await work(client);
    await client.query('commit').catch(ownStatement);
    return result;
  } catch (error) {
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/**
 * Runs `work` while this process is the only one in the fleet that runs `name`; undefined when another one does.
 * For what one worker does by the clock. The lock ends with its session, also when the process dies.
 */
export async function exclusively<T>(pool: Pool, name: string, work: () => Promise<T>): Promise<T | undefined> {
  const client = await pool.connect().catch(ownStatement);
  let broken: Error | undefined;
  try {
    const { rows } = await client.query<{ mine: boolean }>(
      'select pg_try_advisory_lock(hashtextextended($1, 0)) as mine',
      [name],
    );
    if (!rows[0]?.mine) return undefined;
    return await work().finally(() => client.query('select pg_advisory_unlock(hashtextextended($1, 0))', [name]));
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}

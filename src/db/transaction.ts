import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import type { Pool, PoolClient, QueryResult } from 'pg';
import type { Schema } from './schema.ts';
import { blameDatabase } from './weather.ts';

/** Runs `work` between BEGIN and COMMIT on one client; rolls back when it throws. A broken client is not reused. */
export async function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch(blameDatabase);
  let broken: Error | undefined;
  try {
    await client.query('begin').catch(blameDatabase);
    const result = await work(client);
    await client.query('commit').catch(blameDatabase);
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

/** Runs `work` on one client, each statement its own transaction. */
export async function onClient<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch(blameDatabase);
  let broken: Error | undefined;
  try {
    return await work(client);
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}

type Query = (text: string, parameters: unknown[]) => Promise<QueryResult>;

/** `rollback to` a savepoint is the handler's own affair. */
const ENDS_TRANSACTION =
  /^\s*(begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+to\b))\b/i;

/**
 * A Kysely transaction whose statements go through `query`; BEGIN and COMMIT are the caller's. A handler's own would
 * commit its effects without the completion, and they would happen again at the next attempt.
 */
export function kyselyOver(query: Query): Transaction<Schema> {
  const client = {
    async query(text: string, parameters: unknown[]) {
      if (ENDS_TRANSACTION.test(text))
        throw new Error('the worker begins and ends the transaction: use ctx.trx as it is');
      return query(text, parameters).catch(blameDatabase);
    },
    release() {},
  };
  const pool = { connect: async () => client, end: async () => {} };
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool: pool as never }) }) as Transaction<Schema>;
}

/** A handler went on writing after its attempt had ended. */
export class TransactionOver extends Error {
  override name = 'TransactionOver';
  constructor() {
    super('this transaction is over: the handler timed out or has returned');
  }
}

/**
 * A transaction that begins at its first statement: a handler that waits for the network first holds no connection.
 * `onBegin` runs before that statement, in the same transaction.
 */
export class LazyTransaction {
  readonly trx: Transaction<Schema>;
  readonly #pool: Pool;
  readonly #onBegin: (client: PoolClient) => Promise<void>;
  #begun: Promise<PoolClient> | undefined;
  #closed = false;

  constructor(pool: Pool, onBegin: (client: PoolClient) => Promise<void>) {
    this.#pool = pool;
    this.#onBegin = onBegin;
    this.trx = kyselyOver(async (text, parameters) => {
      // A handler that goes on after its time-out must not write into a transaction that is over.
      if (this.#closed) throw new TransactionOver();
      return (await this.begin()).query(text, parameters);
    });
  }

  /** The client of the transaction, begun when it was not yet. */
  begin(): Promise<PoolClient> {
    this.#begun ??= this.#begin();
    return this.#begun;
  }

  async #begin(): Promise<PoolClient> {
    const client = await this.#pool.connect().catch(blameDatabase);
    try {
      await client.query('begin').catch(blameDatabase);
      await this.#onBegin(client);
      return client;
    } catch (error) {
      client.release(error as Error);
      throw error;
    }
  }

  async commit(): Promise<void> {
    await this.#end('commit');
  }

  /** Undoes everything. Never throws: a connection that cannot roll back is closed, which rolls back too. */
  async rollback(): Promise<void> {
    await this.#end('rollback').catch(() => {});
  }

  async #end(command: 'commit' | 'rollback'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const client = await this.#begun?.catch(() => undefined);
    if (!client) return;
    let broken: Error | undefined;
    try {
      await client.query(command).catch(blameDatabase);
    } catch (error) {
      broken = error as Error;
      throw error;
    } finally {
      client.release(broken);
    }
  }
}

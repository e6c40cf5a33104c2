import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import type { Pool, PoolClient, QueryResult } from 'pg';
import { endWhenHalfOpen } from './half-open.ts';
import { handlerStatement, ownStatement } from './origin.ts';
import type { Schema } from './schema.ts';

export type HandlerTransactionOptions = {
  connect(): Promise<PoolClient>;
  /** Code that is not ours will run: what it leaves behind in the session is discarded. */
  foreignCode: boolean;
  /** The server cancels a statement that takes longer, and ends a transaction that idles longer. */
  timeoutMs: number;
  /** Runs before the first statement that comes through `trx`, in the same transaction, with a `trx` of its own. */
  onBegin(trx: Transaction<Schema>): Promise<void>;
  /** Ends a database session from outside, while a statement of ours still runs on it. */
  endSession(pid: number): Promise<void>;
  /** Another way to the server, to ask what it does for a statement that takes long. */
  observer: Pool;
};

/** How much longer than the server we wait for its answer, before we give up on a connection that may be half open. */
const CLIENT_MARGIN_MS = 2000;
/** A handler that idles in its transaction meets its own time-out first; the server's is for a process that froze. */
const IDLE_MARGIN_MS = 5000;

/**
 * The transaction that handlers write in. It begins at the first statement: a handler that waits for the network first
 * holds no connection. What a handler leaves behind in the session (settings, advisory locks, LISTEN, temporary tables,
 * prepared statements) is discarded before the connection is used again.
 */
export class HandlerTransaction {
  /** What handlers write through. Refuses statements once the attempt is over. */
  readonly trx: Transaction<Schema>;
  readonly #options: HandlerTransactionOptions;
  #begun: Promise<PoolClient> | undefined;
  #client: PoolClient | undefined;
  #closed = false;
  #running = 0;

  constructor(options: HandlerTransactionOptions) {
    this.#options = options;
    this.trx = kyselyOver(async (text, parameters) => this.#query(await this.#open(), text, parameters));
  }

  /** The client of the transaction, begun when it was not yet. */
  begin(): Promise<PoolClient> {
    this.#begun ??= this.#begin();
    return this.#begun;
  }

  /** Whatever a handler set in the session, our own statements that follow mean our tables. */
  async takeOver(): Promise<PoolClient> {
    const client = await this.begin();
    if (this.#options.foreignCode) await client.query('reset role; reset all').catch(ownStatement);
    return client;
  }

  async commit(): Promise<void> {
    await this.#end('commit');
  }

  /** Undoes everything, also while a statement is running. Never throws. */
  async rollback(): Promise<void> {
    await this.#end('rollback').catch(() => {});
  }

  async #open(): Promise<PoolClient> {
    if (this.#closed) throw new TransactionOver();
    return this.begin();
  }

  async #query(client: PoolClient, text: string, parameters: unknown[]): Promise<QueryResult> {
    if (this.#closed) throw new TransactionOver();
    if (endsTransaction(text)) throw new Error('the worker begins and ends the transaction: use ctx.trx as it is');
    // Extended: the server refuses several statements in one text, such as a COMMIT behind a SELECT.
    const query = {
      ...{ text, values: parameters, queryMode: 'extended' },
      query_timeout: this.#options.timeoutMs + CLIENT_MARGIN_MS,
    };
    this.#running += 1;
    try {
      const result = await endWhenHalfOpen(client, client.query(query), this.#options.observer).catch(handlerStatement);
      if (transactionStatus(client) === 'I') throw new Error('a statement of the handler ended the transaction');
      return result;
    } finally {
      this.#running -= 1;
    }
  }

  async #begin(): Promise<PoolClient> {
    const { connect, timeoutMs, foreignCode, onBegin } = this.#options;
    const client = await connect().catch(ownStatement);
    const settings = [
      `set local statement_timeout = ${Math.ceil(timeoutMs)}`,
      `set local idle_in_transaction_session_timeout = ${Math.ceil(timeoutMs) + IDLE_MARGIN_MS}`,
    ];
    // The pool's `byIndex` is for our own statements: a handler's are planned as anywhere else.
    const scans = ['set local enable_seqscan = on', 'set local enable_bitmapscan = on'];
    const planning = ['set local plan_cache_mode = auto', ...scans];
    try {
      await client.query(['begin', ...settings, ...(foreignCode ? planning : [])].join('; ')).catch(ownStatement);
    } catch (error) {
      client.release(error as Error);
      throw error;
    }
    this.#client = client;
    await onBegin(kyselyOver((text, parameters) => this.#query(client, text, parameters)));
    return client;
  }

  async #end(command: 'commit' | 'rollback'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#begun?.catch(() => {});
    const client = this.#client;
    if (!client) return;
    if (this.#running > 0) return this.#abandon(client, new Error('given up while a statement was running'));
    let broken: Error | undefined;
    try {
      await client.query(command).catch(ownStatement);
      if (this.#options.foreignCode) await forget(client);
    } catch (error) {
      broken = error as Error;
      throw error;
    } finally {
      if (broken) await this.#abandon(client, broken);
      else client.release();
    }
  }

  /**
   * For a connection on which a statement still runs, behind which a ROLLBACK would wait, and for one that was lost,
   * of which the server may not know: it is told to end the session, with whatever that has locked.
   */
  async #abandon(client: PoolClient, why: Error): Promise<void> {
    const { processID } = client as unknown as { processID: number };
    client.release(why);
    await this.#options.endSession(processID);
  }
}

/** `I` outside of a transaction, `T` in one, `E` in one that has failed. */
function transactionStatus(client: PoolClient): string | null {
  return (client as unknown as { getTransactionStatus(): string | null }).getTransactionStatus();
}

/** DISCARD ALL, and pg's own memory of which statements it has prepared on this connection. */
async function forget(client: PoolClient): Promise<void> {
  await client.query('discard all');
  const { connection } = client as unknown as { connection: { parsedStatements: Record<string, string> } };
  connection.parsedStatements = {};
}

/** A handler went on writing after its attempt had ended. */
export class TransactionOver extends Error {
  override name = 'TransactionOver';
  constructor() {
    super('this transaction is over: the handler timed out or has returned');
  }
}

/** `rollback to` a savepoint is the handler's own affair. */
const TRANSACTION_COMMAND =
  /^(begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b/i;

/** A handler's own COMMIT would commit its effects without the completion, and they would happen again. */
function endsTransaction(text: string): boolean {
  return TRANSACTION_COMMAND.test(text.slice(firstWordAt(text)));
}

/** Where the statement begins behind white space, comments, which may be nested, and empty statements (`; commit`). */
function firstWordAt(text: string): number {
  let at = 0;
  for (;;) {
    if (/[\s;]/.test(text[at] ?? '')) at += 1;
    else if (text.startsWith('--', at)) at = endOfLine(text, at);
    else if (text.startsWith('/*', at)) at = endOfComment(text, at);
    else return at;
  }
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end;
}

function endOfComment(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const two = text.slice(at, at + 2);
    if (two === '/*') depth += 1;
    if (two === '*/') depth -= 1;
    if (two === '/*' || two === '*/') at += 1;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

/** A Kysely transaction over the client of one that has begun; BEGIN and COMMIT are the caller's. */
export function transactionOver(client: PoolClient): Transaction<Schema> {
  return kyselyOver((text, parameters) => client.query(text, parameters));
}

type Query = (text: string, parameters: unknown[]) => Promise<QueryResult>;

/** A Kysely transaction whose statements go through `query`; BEGIN and COMMIT are the caller's. */
function kyselyOver(query: Query): Transaction<Schema> {
  const client = { query, release() {} };
  const pool = { connect: async () => client, end: async () => {} };
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool: pool as never }) }) as Transaction<Schema>;
}

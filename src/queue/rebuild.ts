import type { Pool, PoolClient } from 'pg';
import { inTransaction } from '../db/transaction.ts';

/** One of the things that follow from the queue, where it differed from the truth. */
export type Difference = { what: string; was: string; is_now: string };

/** A large queue takes a while, and nobody can write it meanwhile. */
const LONGEST_MS = 50_000;
const BEGIN = `begin; set local statement_timeout = ${LONGEST_MS}; set local lock_timeout = '5s'`;

class OnlyLooked extends Error {}

/**
 * Derives counts, waiting events, claims, dead letters and totals of the last hour from the queue and its logs anew.
 * Events can neither arrive nor end meanwhile.
 * @param dryRun says what differs and changes nothing
 * @returns what differed; empty when all was right
 */
export async function rebuild(pool: Pool, dryRun: boolean): Promise<Difference[]> {
  let differences: Difference[] = [];
  const run = async (client: PoolClient) => {
    const query = { text: 'select what, was::text, is_now::text from tds_rebuild()', query_timeout: LONGEST_MS + 5000 };
    differences = (await client.query<Difference>(query)).rows;
    if (dryRun) throw new OnlyLooked();
  };
  await inTransaction(pool, run, BEGIN).catch((error) => {
    if (!(error instanceof OnlyLooked)) throw error;
  });
  return differences;
}

import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatorRegistry, Registry } from 'prom-client';
import type { Database } from '../../db/database.ts';
import { isDatabaseAway } from '../../errors.ts';
import { counter, type Family, gauge } from './family.ts';
import { attemptFamilies, eventOperations, readAttempts } from './read/attempts.ts';
import { completenessFamilies } from './read/completeness.ts';
import { type CounterRow, countedFamilies, readCounters } from './read/counters.ts';
import { installationFamilies } from './read/installation.ts';
import { queueFamilies } from './read/queue.ts';
import { zohoFamilies } from './read/zoho.ts';

export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** A scrape that takes longer says that the database is away, rather than to run into the scraper's own time-out. */
const PATIENCE_MS = 2000;

/**
 * Everything that is counted and measured, of the whole fleet, in the text format of Prometheus. Reads counters and
 * live rows only: its cost does not grow with the completed events. Of a database that is away it says just that.
 * @param countedLast adds what this process has counted, so that a scrape sees the requests before it
 */
export async function prometheusText(db: Database, countedLast: () => Promise<void>): Promise<string> {
  const read = countedLast()
    .then(() => readFamilies(db))
    .catch((error: unknown) => {
      if (!isDatabaseAway(error)) throw error;
    });
  const families = await Promise.race([read, sleep(PATIENCE_MS, undefined, { ref: false })]);
  const up = gauge('tds_database_up', '1 if PostgreSQL answered this scrape within 2 s.', families ? 1 : 0);
  return AggregatorRegistry.aggregate([[up, ...(families ?? [])]]).metrics();
}

/** In one snapshot, so that all figures of a scrape agree with each other, and on one connection. */
function readFamilies(db: Database): Promise<Family[]> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (trx) => {
      const attempts = await readAttempts(trx);
      const counters = await readCounters(trx);
      return [
        ...countedFamilies([...counters, ...eventOperations(attempts)]),
        ...attemptFamilies(attempts, counterOf(counters, 'conflicts_resolved_total')),
        counter(
          'circuit_tripped_total',
          'How often failures of the Zoho Books API in a row made all calls pause.',
          counterOf(counters, 'circuit_tripped_total'),
        ),
        ...(await queueFamilies(trx)),
        ...(await zohoFamilies(trx)),
        ...(await completenessFamilies(trx)),
        ...(await installationFamilies(trx)),
      ];
    });
}

function counterOf(counters: readonly CounterRow[], name: string): number {
  return counters.find((row) => row.name === name)?.value ?? 0;
}

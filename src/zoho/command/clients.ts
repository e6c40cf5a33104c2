/** What the commands share: the organizations they are for, and the clients to ask Zoho with. */
import path from 'node:path';
import { type Config, orExit } from '../../config.ts';
import { type Database, openDatabase } from '../../db/database.ts';
import { ensurePostgres } from '../../db/embedded.ts';
import { prepareDatabase } from '../../db/migrate.ts';
import type { ZohoClient } from '../client/client.ts';
import { createClients } from '../client/clients.ts';
import { booksModules } from '../modules/modules.ts';
import { type Organizations, organizationsOf } from '../organizations/organizations.ts';

/** The caller wrote something that cannot be meant. */
export class UsageError extends Error {}

/** A command may wait for a full minute of the quota. */
const PATIENCE_MS = 90_000;

export type Opened = { db: Database; clients: ZohoClient[]; organizations: Organizations };

/** Does the work with a client for each organization, or for the one that is named. Throws UsageError when there is none. */
export async function withClients<T>(
  config: Config,
  named: string | undefined,
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const organizations = orExit(() => organizationsOf(config));
  const postgres = config.databaseUrl ? undefined : await ensurePostgres(path.resolve(config.dataDir));
  const url = config.databaseUrl ?? postgres?.url ?? '';
  const { db, close } = openDatabase({ url, max: 2, applicationName: 'tds-zoho' });
  try {
    const all = [...createClients(db, config, { patienceMs: PATIENCE_MS }, organizations).values()];
    const clients = all.filter(({ organizationId }) => (named ?? organizationId) === organizationId);
    if (clients.length === 0)
      throw new UsageError('no such organization with access to Zoho: npm run zoho -- connect leads through it');
    await prepareDatabase(url, { strict: false, report: () => {} });
    // Whoever asks wants to know whether the credential works now.
    for (const client of clients) await client.tokens.tryAgain();
    return await work({ db, clients, organizations });
  } finally {
    await close();
    await postgres?.stop();
  }
}

/** The modules of a list such as `invoice,bill`; all that have webhooks without one. Throws UsageError. */
export function chosenModules(list: string | undefined): string[] {
  const known = booksModules.map(({ name }) => name);
  const chosen = list?.split(',').map((name) => name.trim()) ?? known;
  const stranger = chosen.find((name) => !known.includes(name));
  if (stranger !== undefined) throw new UsageError(`${stranger} is not a module: there are ${known.join(', ')}`);
  return chosen;
}

/** An address without the slashes at its end. */
export function withoutSlash(url: string): string {
  return url.replace(/(?<!\/)\/+$/, '');
}

import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Channel } from '../../db/schema.ts';
import { isDatabaseAway } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Part } from '../../shutdown.ts';
import { type Attempt, composeMessages, sendDue } from './deliver.ts';
import { allChannels, type NotifyConfig } from './outgoing.ts';

const LOOK_MS = 1000;
/** Without a receiver the outbox is only emptied. */
const NOBODY_LISTENS_MS = 60_000;

/**
 * Makes messages of the outbox and sends them, as long as the process lives. Every process does so: whoever is left
 * tells of those that are gone. A receiver that hangs holds up nobody but itself.
 */
export function notifier(db: Database, log: Logger, config: NotifyConfig): Part {
  const channels = allChannels(config);
  const busy = new Map<string, Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  const once = (name: string, work: () => Promise<void>) => {
    if (busy.has(name)) return;
    const done = work()
      .catch((error: unknown) => tellUnlessAway(log, error))
      .finally(() => busy.delete(name));
    busy.set(name, done);
  };
  const look = () => {
    once('outbox', async () => {
      if (await hasEntries(db)) await composeMessages(db, config);
    });
    for (const channel of channels) once(channel, () => sendAndTell(db, log, channel, config));
  };
  return {
    name: 'notifications',
    start() {
      timer = setInterval(look, channels.length > 0 ? LOOK_MS : NOBODY_LISTENS_MS);
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(busy.values());
    },
  };
}

async function hasEntries(db: Database): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`select exists (select from tds_outbox) as found`.execute(db);
  return rows[0]?.found === true;
}

async function sendAndTell(db: Database, log: Logger, channel: Channel, config: NotifyConfig): Promise<void> {
  for (const attempt of await sendDue(db, channel, config)) tell(log, attempt);
}

/** The first failure and the last are told at once; those in between are one line each, too: they become rare. */
function tell(log: Logger, { id, channel, attempts, error, gaveUp }: Attempt): void {
  const fields = { component: 'notifications', notification_id: id, channel, attempts };
  if (error === undefined) log.info(fields, 'notification delivered');
  else if (gaveUp) log.error({ ...fields, reason: error }, 'notification given up');
  else log.warn({ ...fields, reason: error }, 'notification not delivered');
}

/** The pool tells of an outage itself, once a minute. */
function tellUnlessAway(log: Logger, error: unknown): void {
  if (!isDatabaseAway(error)) log.warn({ component: 'notifications', error }, 'notifying failed');
}

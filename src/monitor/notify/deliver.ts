/**
 * From the outbox to the receivers: entries become messages, messages are sent at least once. Any number of processes
 * may do this at once.
 */
import { type Selectable, sql, type Transaction } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Channel, NoticeKind, Notifications, Schema } from '../../db/schema.ts';
import { compose, type Message } from './message.ts';
import { channelsOf, type NotifyConfig, placesOf, send } from './outgoing.ts';

/** A storm is waited for: entries become a message once none has come for so long, or the first is six times as old. */
const LIFECYCLE_PATIENCE = 2;
const LONGEST = 6;
const MAX_ENTRIES = 10_000;
const AT_ONCE = 10;
/** Longer than an attempt takes, so that a message is never sent twice at the same time. */
const FIRST_RETRY_SECONDS = 15;
const LONGEST_RETRY_SECONDS = 3600;
const GIVE_UP = sql`interval '3 days'`;

type Waiting = { kind: NoticeKind; oldest: number; newest: number };

/** Makes one message per kind and channel of all entries whose time has come. Answers how many messages it made. */
export async function composeMessages(db: Database, config: NotifyConfig): Promise<number> {
  return db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ mine: boolean; now: Date }>`
      select pg_try_advisory_xact_lock(hashtext('tds_outbox')) as mine, clock_timestamp() as now`.execute(trx);
    if (!rows[0]?.mine) return 0;
    let made = 0;
    for (const waiting of await waitingKinds(trx)) {
      if (isDue(waiting, config.alertGroupSeconds)) made += await composeKind(trx, waiting.kind, config, rows[0].now);
    }
    return made;
  });
}

async function waitingKinds(trx: Transaction<Schema>): Promise<Waiting[]> {
  const { rows } = await sql<Waiting>`
    select kind, extract(epoch from clock_timestamp() - min(created_at))::float8 as oldest,
      extract(epoch from clock_timestamp() - max(created_at))::float8 as newest
    from tds_outbox group by kind`.execute(trx);
  return rows;
}

/** Ages in seconds; a negative one is of a clock that was put back. */
function isDue({ kind, oldest, newest }: Waiting, groupSeconds: number): boolean {
  if (kind === 'test' || kind === 'digest' || newest < 0) return true;
  const quiet = kind === 'lifecycle' ? groupSeconds * LIFECYCLE_PATIENCE : groupSeconds;
  return newest >= quiet || oldest >= quiet * LONGEST;
}

async function composeKind(trx: Transaction<Schema>, kind: NoticeKind, config: NotifyConfig, now: Date) {
  const { rows: entries } = await sql<{ id: string; created_at: Date; body: unknown }>`
    delete from tds_outbox where id = any (array(
      select id from tds_outbox where kind = ${kind} order by id limit ${MAX_ENTRIES}))
    returning id, created_at, body`.execute(trx);
  // Without a receiver there is nothing to keep: the incidents themselves stand in tds_alerts.
  const channels = channelsOf(kind, config);
  if (entries.length === 0 || channels.length === 0) return 0;
  entries.sort((a, b) => Number(a.id) - Number(b.id));
  const body = JSON.stringify(compose(kind, entries, placesOf(config), now));
  await trx
    .insertInto('tds_notifications')
    .values(channels.map((channel) => ({ channel, kind, body })))
    .execute();
  return channels.length;
}

export type Attempt = {
  id: string;
  channel: Channel;
  attempts: number;
  /** Undefined: delivered. */
  error: string | undefined;
  gaveUp: boolean;
};

/**
 * Sends what is due on one channel, up to ten messages at once. Each attempt is counted, and the next one set, before it
 * is made: whatever becomes of the process, the message is sent again with the same key.
 */
export async function sendDue(db: Database, channel: Channel, config: NotifyConfig): Promise<Attempt[]> {
  const due = await takeDue(db, channel);
  return Promise.all(due.map((message) => attempt(db, message, config)));
}

type Due = Pick<Selectable<Notifications>, 'id' | 'channel' | 'attempts' | 'body'>;

async function takeDue(db: Database, channel: Channel): Promise<Due[]> {
  const { rows } = await sql<Due>`
    update tds_notifications set attempts = attempts + 1, next_attempt_at = clock_timestamp() + make_interval(
      secs => least(${LONGEST_RETRY_SECONDS}, ${FIRST_RETRY_SECONDS} * 2.0 ^ least(attempts, 10)) * (1 + random() / 5))
    where id = any (array(
      select id from tds_notifications
      where delivered_at is null and gave_up_at is null and next_attempt_at <= clock_timestamp() and channel = ${channel}
      order by created_at limit ${AT_ONCE} for update skip locked))
    returning id, channel, attempts, body`.execute(db);
  return rows;
}

async function attempt(db: Database, { id, channel, attempts, body }: Due, config: NotifyConfig): Promise<Attempt> {
  try {
    await send(channel, id, body as Message, config);
  } catch (error) {
    const reason = reasonOf(error);
    return { id, channel, attempts, error: reason, gaveUp: await failed(db, id, reason) };
  }
  await sql`update tds_notifications set delivered_at = clock_timestamp(), last_error = null where id = ${id}`.execute(
    db,
  );
  return { id, channel, attempts, error: undefined, gaveUp: false };
}

async function failed(db: Database, id: string, reason: string): Promise<boolean> {
  const { rows } = await sql<{ gave_up_at: Date | null }>`
    update tds_notifications set last_error = ${reason},
      gave_up_at = case when created_at < clock_timestamp() - ${GIVE_UP} then clock_timestamp() end
    where id = ${id} returning gave_up_at`.execute(db);
  return rows[0]?.gave_up_at != null;
}

/** In a sentence; of several addresses that failed, the first one's reason. */
export function reasonOf(error: unknown): string {
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return String((first as Error)?.message ?? first).slice(0, 300);
}

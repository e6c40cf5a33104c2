/** 'Database Away': known, told and taken back without the database. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Database } from '../../db/database.ts';
import type { Channel } from '../../db/schema.ts';
import type { Logger } from '../../log.ts';
import type { Part } from '../../shutdown.ts';
import { announceAlerts } from '../alerts/announce.ts';
import { type AlertNotice, announce } from '../alerts/outbox.ts';
import { REMIND_MS } from '../alerts/remind.ts';
import { DATABASE_AWAY } from '../alerts/rules.ts';
import { reasonOf } from './deliver.ts';
import { compose, type Message } from './message.ts';
import { channelsOf, type NotifyConfig, placesOf, send } from './outgoing.ts';

export type WatchOptions = {
  db: Database;
  log: Logger;
  config: NotifyConfig;
  /** Throws when the database cannot be used; default for `url`: a new connection, because a full server refuses only those. */
  probe: () => Promise<unknown>;
  /** ALERT_THRESHOLDS, for `database_away`: seconds. */
  thresholdSeconds?: number;
  /** Milliseconds between probes, default 5,000. */
  everyMs?: number;
  /** Milliseconds until an undelivered message is sent again, default 15,000. */
  retryMs?: number;
  /** For tests, milliseconds. */
  now?: () => number;
};

type Untold = { id: string; channel: Channel; message: Message; nextAt: number };
type Outage = { since: number; id: string; toldAt: number | undefined; untold: Untold[] };

const PROBE_MS = 3000;

/** Opens a connection, asks for an answer, and gives each of them `patienceMs`. */
export function probeOf(url: string, patienceMs = PROBE_MS): () => Promise<void> {
  return async () => {
    const client = new pg.Client({
      ...{ connectionString: url, application_name: 'tds-core probe' },
      ...{ connectionTimeoutMillis: patienceMs, query_timeout: patienceMs },
    });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.query('select 1');
      await client.end();
    } catch (error) {
      // A server that hangs would not let us go in peace.
      (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      throw error;
    }
  };
}

export class DatabaseWatch implements Part {
  readonly name = 'database watch';
  readonly #options: WatchOptions;
  readonly #stopped = new AbortController();
  #outage: Outage | undefined;
  #running: Promise<void> | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  /** One probe and what follows from it. */
  async turn(): Promise<void> {
    try {
      await this.#options.probe();
    } catch (error) {
      return this.#away(error);
    }
    await this.#back();
  }

  async #watch(): Promise<void> {
    const { everyMs = 5000, log } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.turn().catch((error: unknown) => log.warn({ component: 'alerts', error }, 'watching failed'));
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }

  get #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  async #away(error: unknown): Promise<void> {
    const now = this.#now;
    this.#outage ??= { since: now, id: randomUUID(), toldAt: undefined, untold: [] };
    const outage = this.#outage;
    // A clock that was put back must not lengthen the outage.
    outage.since = Math.min(outage.since, now);
    const { thresholdSeconds = DATABASE_AWAY.threshold } = this.#options;
    if (now - outage.since < thresholdSeconds * 1000) return;
    if (outage.toldAt === undefined) {
      this.#say('firing', outage);
      const { rule, severity } = DATABASE_AWAY;
      const message = `${messageOf(outage, now)} (${reasonOf(error)})`;
      announceAlerts(this.#options.log, [{ change: 'fired', rule, severity, message }]);
    } else if (now - outage.toldAt >= REMIND_MS) this.#say('reminder', outage);
    await this.#deliver(outage);
  }

  /** The messages of a change, one for each channel: kept in memory until they are taken. */
  #say(change: 'firing' | 'reminder', outage: Outage): void {
    const { config } = this.#options;
    const now = this.#now;
    const entry = { created_at: new Date(now), body: noticeOf(change, outage, now) };
    const message = compose('alert', [entry], placesOf(config), new Date(now));
    const untold = channelsOf('alert', config).map((channel) => ({ id: randomUUID(), channel, message, nextAt: now }));
    outage.untold.push(...untold);
    outage.toldAt = now;
  }

  async #deliver(outage: Outage): Promise<void> {
    const { config, log, retryMs = 15_000 } = this.#options;
    const due = outage.untold.filter(({ nextAt }) => nextAt <= this.#now);
    await Promise.all(
      due.map(async (one) => {
        const { id, channel, message } = one;
        const fields = { component: 'notifications', notification_id: id, channel };
        one.nextAt = this.#now + retryMs;
        try {
          await send(channel, id, message, config);
          outage.untold.splice(outage.untold.indexOf(one), 1);
          log.info(fields, 'notification delivered');
        } catch (error) {
          log.warn({ ...fields, reason: reasonOf(error) }, 'notification not delivered');
        }
      }),
    );
  }

  /** What could not be told in memory is handed over to the database, under the same keys. */
  async #back(): Promise<void> {
    const outage = this.#outage;
    if (!outage) return;
    if (outage.toldAt !== undefined) await this.#record(outage);
    this.#outage = undefined;
  }

  async #record({ since, id, untold }: Outage): Promise<void> {
    const { db, log } = this.#options;
    const [firedAt, now] = [new Date(since), new Date(this.#now)];
    const { rule, title, severity, threshold } = DATABASE_AWAY;
    const seconds = (now.getTime() - since) / 1000;
    const message = `PostgreSQL did not answer for ${Math.round(seconds)} s.`;
    await db.transaction().execute(async (trx) => {
      const incident = await trx
        .insertInto('tds_alerts')
        .values({
          ...{ id, rule, title, severity, threshold, message, value: seconds },
          ...{ fired_at: firedAt, last_seen_at: now, notified_at: firedAt, resolved_at: now },
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      for (const one of untold)
        await trx
          .insertInto('tds_notifications')
          .values({ id: one.id, channel: one.channel, kind: 'alert', body: JSON.stringify(one.message) })
          .execute();
      await announce(trx, now, 'resolved', incident);
    });
    announceAlerts(log, [{ change: 'resolved', rule, severity, message }]);
  }
}

function messageOf({ since }: Outage, now: number): string {
  return DATABASE_AWAY.message((now - since) / 1000);
}

function noticeOf(change: AlertNotice['change'], outage: Outage, now: number): AlertNotice {
  const { rule, title, severity, threshold } = DATABASE_AWAY;
  return {
    ...{ change, id: outage.id, rule, title, severity, threshold, labels: {}, flapping: false },
    message: messageOf(outage, now),
    value: Math.round((now - outage.since) / 1000),
    since: new Date(outage.since).toISOString(),
  };
}

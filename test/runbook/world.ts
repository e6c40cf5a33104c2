/** A started system in the state that the guide's commands presuppose, and the means to change it. */
import { createHmac } from 'node:crypto';
import path from 'node:path';
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../src/db/database.ts';
import { type Teardown, testDatabase, waitFor } from '../helper.ts';
import { sampleBody } from '../samples.ts';
import { startProcesses } from './processes.ts';

export const OPERATOR = 'runbook';
export const TOKEN = 'runbook-token-1';

const SECRET = 'runbook-secret-1';
const DEMO_HANDLERS = path.join(import.meta.dirname, '../../demo/handlers');

export class World {
  readonly apiUrl: string;
  readonly databaseUrl: string;
  readonly db: Database;
  /** The event that the current section is about. */
  subject = '';

  constructor(apiUrl: string, databaseUrl: string, db: Database) {
    this.apiUrl = apiUrl;
    this.databaseUrl = databaseUrl;
    this.db = db;
  }

  /** Sends a signed delivery and answers its event id. */
  async send(module: string, action: string, body: string | Buffer): Promise<string> {
    const signature = createHmac('sha256', SECRET).update(body).digest('hex');
    const answer = await fetch(`${this.apiUrl}/webhooks/zoho-books/60000000001/${module}/${action}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-zoho-webhook-signature': signature },
      body: String(body),
    });
    const { event_id } = (await answer.json()) as { event_id: string };
    return event_id;
  }

  sendItem(itemId: string): Promise<string> {
    const item = { item_id: itemId, last_modified_time: '2026-06-09T09:45:41-0400' };
    return this.send('item', 'updated', JSON.stringify({ item }));
  }

  /** Sends an event that a handler fails three times; answers when it is a dead letter. */
  async deadLetter(contactId: string): Promise<{ eventId: string; id: string }> {
    const contact = { contact_id: contactId, last_modified_time: new Date().toISOString() };
    const eventId = await this.send('contact', 'demo_failure', JSON.stringify({ contact }));
    const find = this.db.selectFrom('tds_dead_letter_queue').select('id').where('id', '=', eventId);
    const { id } = await waitFor('the dead letter', () => find.executeTakeFirst());
    return { eventId, id };
  }

  async setPaused(paused: boolean): Promise<void> {
    await this.db.updateTable('tds_queue_state').set({ paused }).execute();
  }

  untilCompleted(id: string): Promise<unknown> {
    return waitFor(`${id} to be completed`, () =>
      this.#found(sql`select from tds_sync_queue where id = ${id} and status = 'completed'`),
    );
  }

  untilIdle(): Promise<unknown> {
    const waiting = sql`select from tds_sync_queue where status in ('pending', 'processing', 'retry')`;
    return waitFor('everything to be processed', async () => !(await this.#found(waiting)));
  }

  untilAlert(rule: string): Promise<unknown> {
    const patience = 40_000; // the worker evaluates every 15 s
    return waitFor(`the alert ${rule}`, () => this.#found(sql`select from tds_alerts where rule = ${rule}`), patience);
  }

  /** An event that was completed 40 days ago. */
  async agedEvent(): Promise<void> {
    const id = await this.sendItem('9002');
    await this.untilCompleted(id);
    const then = sql<Date>`now() - interval '40 days'`;
    await this.db
      .updateTable('tds_sync_queue')
      .set({ queued_at: then, completed_at: then })
      .where('id', '=', id)
      .execute();
    await this.db.updateTable('tds_inbox_events').set({ processed_at: then }).where('event_id', '=', id).execute();
  }

  /** An event in processing for two hours that no worker has in hand, as a careless UPDATE might leave one. */
  async stuckEvent(): Promise<string> {
    await this.setPaused(true);
    const id = await this.sendItem('9003');
    await sql`update tds_sync_queue set status = 'processing', lease = gen_random_uuid(),
      started_at = now() - interval '2 hours' where id = ${id}`.execute(this.db);
    return id;
  }

  async #found(query: RawBuilder<unknown>): Promise<boolean> {
    const { rows } = await query.execute(this.db);
    return rows.length > 0;
  }
}

/** API and worker as in production, with two completed events, three dead letters and, as the queue is paused, one pending. */
export async function startWorld(t: Teardown): Promise<World> {
  const { url, db } = await testDatabase(t);
  const apiUrl = await startProcesses(t, {
    NODE_ENV: 'production',
    DATABASE_URL: url,
    BASE_PATH: '/tds',
    ZOHO_WEBHOOK_SECRET: SECRET,
    OPERATOR_TOKENS: `${OPERATOR}:operator:${TOKEN}`,
    HANDLERS_DIR: DEMO_HANDLERS,
    RETRY_BASE_SECONDS: '0',
    FAILURE_RATE_MIN_EVENTS: '1',
  });
  const world = new World(apiUrl, url, db);
  await world.send('invoice', 'created', sampleBody('invoice.webhook'));
  await world.send('bill', 'created', sampleBody('bill.webhook'));
  for (const contactId of ['9011', '9012', '9013']) await world.deadLetter(contactId);
  await world.untilIdle();
  await world.setPaused(true);
  await world.sendItem('9001');
  return world;
}

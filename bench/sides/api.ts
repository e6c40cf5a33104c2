/** The HTTP API as it is, with different stores behind the webhook route. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type net from 'node:net';
import Fastify from 'fastify';
import type pg from 'pg';
import { buildApp, type Deps } from '../../src/api/app.ts';
import { listen } from '../../src/api/server.ts';
import { loadConfig } from '../../src/config.ts';
import { Inbox } from '../../src/inbox/store.ts';
import { newEventId } from '../../src/inbox/uuid.ts';
import { log, open } from '../engine.ts';
import { SECRET, WEBHOOK_PATH } from '../invoice.ts';
import { side } from '../side.ts';
import { createTextbook, INSERT_EVENT, INSERT_QUEUE, textbookRow } from '../textbook.ts';

/** 'inbox': TDS Core. 'none': no database. 'textbook': two INSERTs in a transaction. 'bare': Fastify, HMAC, JSON.parse, 202. */
export type Store = 'inbox' | 'none' | 'textbook' | 'bare';
type Accept = Deps['inbox']['accept'];

const POOL = 10;

side<{ url: string; store: Store }, { port: number }>(async ({ url, store }) => {
  if (store === 'bare') return bareApp();
  // As src/api/main.ts has it: four connections for the inbox, another pool for operators.
  const { db, pool } = open(url, store === 'textbook' ? POOL : 4, false);
  if (store === 'textbook') await createTextbook(pool);
  const stores = {
    inbox: () => new Inbox(pool, log),
    none: () => ({ accept: noDatabase }),
    textbook: () => ({ accept: textbook(pool) }),
  };
  const api = await buildApp({
    config: loadConfig({ ZOHO_WEBHOOK_SECRET: SECRET }),
    log,
    db,
    pool,
    inbox: stores[store](),
  });
  return { port: Number(new URL(await listen(api, { host: '127.0.0.1', port: 0 })).port) };
});

const noDatabase: Accept = async () => ({ eventId: newEventId(), duplicate: false, status: 'queued' });

function textbook(pool: pg.Pool): Accept {
  return async ({ parsed, body }) => {
    const row = textbookRow(parsed, body);
    const client = await pool.connect();
    try {
      await client.query('begin');
      const { rowCount } = await client.query({ name: 'event', text: INSERT_EVENT, values: row });
      if (rowCount) await client.query({ name: 'queue', text: INSERT_QUEUE, values: [row[0], row[2], row[4]] });
      await client.query('commit');
      return { eventId: row[0], duplicate: rowCount === 0, status: 'queued' };
    } finally {
      client.release();
    }
  };
}

/** The least that an honest webhook route does: the signature over the bytes as they came, then JSON. */
async function bareApp(): Promise<{ port: number }> {
  const app = Fastify();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post(WEBHOOK_PATH, async (request, reply) => {
    const body = request.body as Buffer;
    const expected = createHmac('sha256', SECRET).update(body).digest();
    const given = Buffer.from(String(request.headers['x-zoho-webhook-signature']), 'hex');
    if (!timingSafeEqual(expected, given)) return reply.code(401).send();
    const { invoice } = JSON.parse(body.toString()) as { invoice: { invoice_id: string } };
    return reply.code(202).send({ success: true, event_id: invoice.invoice_id });
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { port: (app.server.address() as net.AddressInfo).port };
}

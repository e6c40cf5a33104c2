import { createHash, randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import type { Readable } from 'node:stream';
import { buildApp } from '../api/app.ts';
import type { Config } from '../config.ts';
import { openDatabase } from '../db/database.ts';
import { createLogger } from '../log.ts';
import { syncWorkflows } from '../sync/definitions.ts';
import { Refused, Transport } from './transport.ts';

const STATEMENT_TIMEOUT_MS = 30_000;
const CONNECTIONS = 4;

/**
 * Talks to an API in this process, which works on the database itself: the same routes, and so the same deeds, for
 * whoever may read DATABASE_URL. The audit log shows the name of the account.
 */
export async function localTransport(config: Config, url: string): Promise<Transport> {
  const token = randomBytes(32).toString('hex');
  const tokenSha256 = createHash('sha256').update(token).digest();
  const { db, pool, close } = openDatabase({
    ...{ url, max: CONNECTIONS, applicationName: 'tds', statementTimeoutMs: STATEMENT_TIMEOUT_MS },
    queryTimeoutMs: STATEMENT_TIMEOUT_MS + 1000,
  });
  const operators = [{ name: userInfo().username, role: 'admin', tokenSha256 } as const];
  const inbox = { accept: () => Promise.reject(new Error('tds takes no webhooks')) };
  const ours = { ...config, basePath: '', operators, trustProxy: false, rateLimitPerMinute: 0 } as const;
  const workflows = syncWorkflows(db, config);
  const api = await buildApp({ config: ours, log: createLogger('tds', 'silent'), db, pool, inbox, workflows });
  const headers = { authorization: `Bearer ${token}` };
  return new Transport({
    async send(method, url, body) {
      const answer = await api.inject({ method, url, headers, ...(body ? { payload: body as object } : {}) });
      const given = new Headers(answer.headers as Record<string, string>);
      return { status: answer.statusCode, headers: given, text: answer.body };
    },
    async stream(url) {
      const answer = await api.inject({ url, headers, payloadAsStream: true });
      const stream = answer.stream() as Readable;
      if (answer.statusCode < 400) return stream;
      const text = Buffer.concat(await stream.toArray()).toString('utf8');
      throw new Refused({ status: answer.statusCode, headers: new Headers(), text });
    },
    async close() {
      await api.close();
      await close();
    },
  });
}

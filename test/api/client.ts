/** A running application for the tests of the API, and the few things they do with it. */
import { createHash } from 'node:crypto';
import { type Api, buildApp } from '../../src/api/app.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { Inbox } from '../../src/inbox/store.ts';
import { silentLog, type TestDatabase, testDatabase } from '../helper.ts';

export type TestApi = TestDatabase & { api: Api; config: Config };

/** The application on a database of its own. `overrides` change single settings of the configuration. */
export async function testApi(
  t: { teardown(work: () => unknown): unknown },
  overrides: Partial<Config> = {},
): Promise<TestApi> {
  const database = await testDatabase(t);
  return { ...database, ...(await apiOn(t, database, overrides)) };
}

/** One more application on a database that is already there. */
export async function apiOn(
  t: { teardown(work: () => unknown): unknown },
  { db, pool }: Pick<TestDatabase, 'db' | 'pool'>,
  overrides: Partial<Config> = {},
): Promise<{ api: Api; config: Config }> {
  const config = { ...loadConfig({ NODE_ENV: 'test' }), ...overrides };
  const inbox = new Inbox(pool, silentLog, { timeoutMs: 500 });
  const api = await buildApp({ config, log: silentLog, db, inbox });
  await api.ready();
  t.teardown(() => api.close());
  return { api, config };
}

/** One operator of each role; the token of each is its name with '-token' behind it. */
export const OPERATORS: Config['operators'] = (['viewer', 'operator', 'admin'] as const).map((role) => ({
  name: role,
  role,
  tokenSha256: createHash('sha256').update(`${role}-token`).digest(),
}));

export const as = (name: string) => ({ authorization: `Bearer ${name}-token` });

/** A running application for the tests of the API, and the few things they do with it. */
import { createHash, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { type Api, buildApp } from '../../src/api/app.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { Inbox } from '../../src/inbox/store.ts';
import { ProcessMetrics } from '../../src/monitor/prometheus/process-metrics.ts';
import type { Workflows } from '../../src/workflows/registry.ts';
import { silentLog, type TestDatabase, testDatabase } from '../helper.ts';

export type TestApi = TestDatabase & { api: Api; config: Config };

/** The application on a database of its own. `overrides` change single settings of the configuration. */
export async function testApi(
  t: { teardown(work: () => unknown): unknown },
  overrides: Partial<Config> = {},
  workflows?: Workflows,
): Promise<TestApi> {
  const database = await testDatabase(t);
  return { ...database, ...(await apiOn(t, database, overrides, workflows)) };
}

/** One more application on a database that is already there. */
export async function apiOn(
  t: { teardown(work: () => unknown): unknown },
  { db, pool }: Pick<TestDatabase, 'db' | 'pool'>,
  overrides: Partial<Config> = {},
  workflows?: Workflows,
  probe?: () => Promise<unknown>,
): Promise<{ api: Api; config: Config }> {
  const config = { ...loadConfig({ NODE_ENV: 'test' }), ...overrides };
  const inbox = new Inbox(pool, silentLog, { timeoutMs: 500 });
  const metrics = new ProcessMetrics();
  const api = await buildApp({
    config,
    log: silentLog,
    metrics,
    db,
    pool,
    inbox,
    ...(workflows && { workflows }),
    ...(probe && { probe }),
  });
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

/** An event that failed three times: its queue row in dead_letter and the open dead letter, whose id is returned. */
export async function addDeadLetter(db: TestDatabase['db'], payload = '{"contact_id":"1"}'): Promise<string> {
  const id = randomUUID();
  await sql`
    insert into tds_inbox_events (event_id, organization_id, module, action, entity_id, event_type)
    values (${id}, '10', 'contact', 'created', '1', 'contact.created')`.execute(db);
  await sql`insert into tds_inbox_payloads (event_id, source, payload) values (${id}, 'webhook', ${payload}::json)`.execute(
    db,
  );
  await sql`
    insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id, status, attempt_count, error_tag,
                                error_message)
    values (${id}, 1, '10', 'contact.created', '1', 'dead_letter', 3, 'TimeoutError', 'too slow')`.execute(db);
  return id;
}

/** A firing alert; returns its id. */
export async function addAlert(db: TestDatabase['db']): Promise<string> {
  const rule = `rule-${randomUUID()}`;
  const { id } = await db
    .insertInto('tds_alerts')
    .values({
      rule,
      title: 'Queue Backlog Warning',
      severity: 'warning',
      message: 'Many wait. Do something.',
      value: 600,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

import { Type } from 'typebox';
import { schemaState } from '../../db/schema-version.ts';
import type { Health } from '../../monitor/health.ts';
import { readDatabaseDetails, readZohoDetails, type ZohoDetails } from '../../monitor/installation.ts';
import { readSlowStatements } from '../../monitor/slow-statements.ts';
import { listWorkers } from '../../monitor/workers.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Time } from '../schemas.ts';
import { Dependency } from './health.ts';

const MAX_WORKERS = 50;

const Details = Type.Object({
  dependencies: Type.Array(Dependency),
  migrations: Type.Object({
    state: Type.String({ examples: ['current'], description: 'current, behind or newer.' }),
    missing: Type.Array(Type.String()),
  }),
  pool: Type.Object({ total: Type.Integer(), idle: Type.Integer(), waiting: Type.Integer() }),
  workers: Type.Array(
    Type.Object({
      state: Type.String({ examples: ['alive'] }),
      host: Type.String(),
      pid: Type.Integer(),
      version: Type.String(),
      heartbeat_age_seconds: Type.Number(),
      in_flight: Type.Integer(),
    }),
  ),
  database: Type.Object({
    server_version: Type.String(),
    connections: Type.Integer(),
    max_connections: Type.Integer(),
    size_bytes: Type.Number(),
    oldest_transaction: Nullable(
      Type.Object({
        age_seconds: Type.Number(),
        pid: Type.Integer(),
        application_name: Type.String(),
        state: Nullable(Type.String()),
      }),
    ),
    disk: Nullable(
      Type.Object(
        { path: Type.String(), free_bytes: Type.Number(), total_bytes: Type.Number(), free_percent: Type.Number() },
        { description: 'null: the server is on another machine, or its data directory cannot be read from here.' },
      ),
    ),
  }),
  zoho: Type.Array(
    Type.Object({
      organization_id: Type.String(),
      token: Type.Unsafe<ZohoDetails['token']>({
        type: 'string',
        enum: ['valid', 'expired', 'failing', 'refused', 'none'],
      }),
      token_failure: Nullable(Type.String()),
      day_limit: Nullable(Type.Integer()),
      day_remaining: Nullable(Type.Integer()),
      day_resets_at: Nullable(Time),
      paused_until: Nullable(Time),
      pause_reason: Nullable(Type.String()),
      failures_in_a_row: Type.Integer(),
    }),
  ),
});

const Statements = Type.Object({
  available: Type.Boolean(),
  advice: Nullable(Type.String({ description: 'How to install it.' })),
  statements: Type.Array(
    Type.Object({
      calls: Type.Number(),
      total_ms: Type.Number(),
      mean_ms: Type.Number(),
      max_ms: Type.Number(),
      rows: Type.Number(),
      share_percent: Type.Number(),
      query: Type.String({ description: 'Values stand as $1, $2.' }),
    }),
  ),
});

/** What `/readyz` does not tell strangers. */
export function healthDetailRoutes(api: Api, { db, pool, config: { dataDir } }: Deps, health: Health): void {
  const config = { role: 'viewer' } as const;
  const tags = ['dashboard'];

  const summary = 'Health in detail: dependencies, pool, migrations, workers, database, disk, Zoho token and quota';
  api.get('/dashboard/health', { config, schema: { tags, summary, response: { 200: Details } } }, async () => {
    const { state, migrations: missing } = await schemaState(db);
    const workers = await listWorkers(db, MAX_WORKERS);
    const { totalCount: total, idleCount: idle, waitingCount: waiting } = pool;
    return {
      dependencies: await health.check(),
      migrations: { state, missing },
      pool: { total, idle, waiting },
      workers: workers
        .filter(({ ended_at }) => ended_at === null)
        .map(({ heartbeat_at, ...worker }) => ({
          ...worker,
          heartbeat_age_seconds: Math.max(0, (Date.now() - heartbeat_at.getTime()) / 1000),
        })),
      database: await readDatabaseDetails(db, dataDir),
      zoho: await readZohoDetails(db),
    };
  });

  const querystring = Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })) });
  api.get(
    '/dashboard/slow-statements',
    {
      config,
      schema: { tags, summary: 'SQL that took most time in all', querystring, response: { 200: Statements } },
    },
    async ({ query: { limit = 20 } }) => readSlowStatements(db, limit),
  );
}

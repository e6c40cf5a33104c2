import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Pool } from 'pg';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import type { Inbox } from '../inbox/store.ts';
import type { Logger } from '../log.ts';
import type { ProcessMetrics } from '../monitor/prometheus/process-metrics.ts';
import type { Workflows } from '../workflows/registry.ts';

/** Everything the API needs from outside. The routes see nothing else: no environment, no globals. */
export type Deps = {
  config: Config;
  log: Logger;
  /** The operators' pool: its own connections, so that a flood of webhooks cannot lock operators out. */
  db: Database;
  /** The same pool as `db`, for what runs in many transactions of its own. */
  pool: Pool;
  inbox: Pick<Inbox, 'accept'>;
  /** Opens a connection of its own and throws when there is none to be had; default: only the pools' are tried. */
  probe?: () => Promise<unknown>;
  /** What operators can start; the workers run it. Default: nothing. */
  workflows?: Workflows;
  /** Counts what this process does; default: nothing is counted. */
  metrics?: ProcessMetrics;
  /** Tells those who mend the service of an error that nobody expected; default: only the log has it. */
  reportError?: ((error: unknown) => void) | undefined;
  /** What starts the processes again when they end; default: nothing does. */
  supervisor?: 'systemd' | 'npm start' | 'none';
};

/** The Fastify instance with types read from the TypeBox schemas of each route. */
export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

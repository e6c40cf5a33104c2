/** Loads the rest of this folder only when SENTRY_DSN is set. */
import type { Pool } from 'pg';
import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';
import type { Logger } from '../../log.ts';
import type { SentryConfig } from './sentry.ts';

type Settings = Pick<Config, 'sentryDsn' | 'nodeEnv'>;

/** Reports errors that end this process. */
export async function startReporting(settings: Settings, service: string): Promise<void> {
  const config = configOf(settings);
  if (config) (await import('./sentry.ts')).reportFatalErrors(config, service);
}

/** Reports causes of failures that are new or have returned. */
export async function reportCauses(
  settings: Settings,
  { db, pool, log }: { db: Database; pool: Pool; log: Logger },
): Promise<void> {
  const config = configOf(settings);
  if (config) await (await import('./report-groups.ts')).reportErrorGroups(db, pool, log, config);
}

function configOf({ sentryDsn: dsn, nodeEnv: environment }: Settings): SentryConfig | undefined {
  return dsn === undefined ? undefined : { dsn, environment };
}

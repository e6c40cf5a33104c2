/** Loads the rest of this folder only when SENTRY_DSN is set. */
import type { Pool } from 'pg';
import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';
import type { Logger } from '../../log.ts';
import type { SentryConfig } from './sentry.ts';

type Settings = Pick<Config, 'sentryDsn' | 'nodeEnv'>;

/** Reports errors that end this process, and answers with what reports those that do not. */
export async function startReporting(
  settings: Settings,
  service: string,
  log: Logger,
): Promise<((error: unknown) => void) | undefined> {
  const config = configOf(settings);
  if (!config) return undefined;
  const { reportFatalErrors, errorReporter } = await import('./sentry.ts');
  reportFatalErrors(config, service);
  return errorReporter(config, service, log);
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

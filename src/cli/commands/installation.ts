import { describeConfig, SETTINGS } from '../../config.ts';
import { openDatabase } from '../../db/database.ts';
import { prepareDatabase } from '../../db/migrate.ts';
import { refreshViews } from '../../db/refresh-views.ts';
import { schemaAdvice, schemaState } from '../../db/schema-version.ts';
import { type Command, type Context, UsageError } from '../command.ts';

const migrateStatus: Command = {
  name: 'migrate status',
  summary: 'Whether the tables are those of this release; exit code 1 when not. Needs DATABASE_URL',
  examples: ['tds migrate status', 'tds migrate status -o json'],
  reads: true,
  async run(context) {
    const { db, close } = openDatabase({ url: databaseUrl(context), max: 1, applicationName: 'tds' });
    const state = await schemaState(db).finally(close);
    context.say(schemaAdvice(state) ?? 'The tables are those of this release.');
    return { data: state, exitCode: state.state === 'behind' ? 1 : 0 };
  },
};

const migrateUp: Command = {
  name: 'migrate up',
  summary: 'Create or update the tables. Needs DATABASE_URL; safe to repeat',
  examples: ['tds migrate up --yes'],
  confirms: true,
  async run(context) {
    const url = databaseUrl(context);
    if (!(await context.confirm('Update the tables of the database?'))) return { data: null, rows: [], exitCode: 1 };
    const { nodeEnv, auditRetentionDays } = context.io.config;
    await prepareDatabase(url, { strict: nodeEnv === 'production', report: context.say, auditRetentionDays });
    return { data: { state: 'current', migrations: [] } };
  },
};

/** The commands that work on the database itself have it, or say what is missing. */
export function databaseUrl({ io }: Context): string {
  if (io.config.databaseUrl) return io.config.databaseUrl;
  throw new UsageError('this works on the database itself: set DATABASE_URL, on the machine that has it');
}

const viewsRefresh: Command = {
  name: 'views refresh',
  summary: 'Give the views of the mirror a column for each custom field that was seen. Needs DATABASE_URL',
  examples: ['tds views refresh', 'tds views refresh -o json'],
  async run(context) {
    const url = databaseUrl(context);
    const { db, close } = openDatabase({ url, max: 1, applicationName: 'tds-views', queryTimeoutMs: 0 });
    const changes = await refreshViews(db).finally(close);
    if (changes.length === 0) context.say('Every custom field seen has its column already.');
    return { data: changes, exitCode: changes.some(({ change }) => change === 'failed') ? 1 : 0 };
  },
};

const configShow: Command = {
  name: 'config show',
  summary: 'The settings of this machine as tds reads them; secrets only as true or false',
  examples: ['tds config show', 'tds config show -o json'],
  reads: true,
  async run({ io }) {
    const shown = describeConfig(io.config);
    const data = Object.entries(shown).map(([name, value]) => ({ setting: envOf(name), value: value ?? null }));
    return { data };
  },
};

function envOf(name: string): string {
  return SETTINGS[name as keyof typeof SETTINGS].env;
}

export const installationCommands = [viewsRefresh, migrateStatus, migrateUp, configShow];

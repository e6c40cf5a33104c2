/** The commands `connect` and `check`: what they ask Zoho, and what they print. Each returns the process's exit code. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import { DATA_CENTRES } from '../../config/values.ts';
import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';
import type { ZohoClient } from '../client/client.ts';
import { ALL_SCOPES } from '../modules/pull-modules.ts';
import type { DataCentre } from '../organizations/addresses.ts';
import { quotaStates } from '../quota/quota-state.ts';
import { readAutomation, retryAdvice } from './check.ts';
import { chosenModules, UsageError, withClients, withoutSlash } from './clients.ts';
import { type Connection, exchangeGrantCode, listOrganizations, missingScopes } from './connect.ts';
import { compareRules, type Finding } from './rules.ts';

export const EXIT_MISSING = 1;
/** EX_USAGE of sysexits.h. */
export const EXIT_USAGE = 64;

export type ConnectOptions = {
  code?: string | undefined;
  dc?: string | undefined;
  tokenFile?: string | undefined;
  /** Takes what is printed, a line each. */
  say: Say;
  /** Asked for the code when none is given. */
  ask: (question: string) => Promise<string>;
};

export type CheckOptions = {
  url?: string | undefined;
  organization?: string | undefined;
  modules?: string | undefined;
  say: Say;
};

type Say = (line: string) => void;

/** Exchanges a grant code and prints the settings that follow from it. */
export async function connect(config: Config, options: ConnectOptions): Promise<number> {
  const { zohoClientId: clientId, zohoClientSecret: clientSecret } = config;
  const { say } = options;
  if (!clientId || !clientSecret) {
    say(howToConnect());
    return EXIT_USAGE;
  }
  const code = options.code ?? (await options.ask('Grant code of the self client: '));
  if (code === '') throw new UsageError('a grant code is needed: --code CODE');
  const connected = await exchangeGrantCode({ clientId, clientSecret, code }, candidates(config, options.dc));
  handOver(connected, options.tokenFile, say);
  const missing = reportScopes(connected, say);
  for (const { id, name, timeZone } of await listOrganizations(connected))
    say(`ZOHO_ORGANIZATION_ID=${id}    # ${name}, ${timeZone}`);
  return missing.length > 0 ? EXIT_MISSING : 0;
}

/** The data centre that was named, or all, the configured one first; one only where an address overrides them. */
function candidates(config: Config, named: string | undefined) {
  const dc = named?.toLowerCase() as DataCentre | undefined;
  if (dc !== undefined && !DATA_CENTRES.includes(dc))
    throw new UsageError(`${named} is not a data centre: there are ${DATA_CENTRES.join(', ')}`);
  const { zohoAccountsUrl: accountsUrl, zohoApiUrl: apiUrl } = config;
  const only = dc ?? (accountsUrl === undefined ? undefined : config.zohoDc);
  const tried = only === undefined ? [...new Set([config.zohoDc, ...DATA_CENTRES])] : [only];
  return tried.map((one) => ({ dc: one, accountsUrl, apiUrl }));
}

function handOver({ addresses, refreshToken }: Connection, file: string | undefined, say: Say): void {
  say(`ZOHO_DC=${addresses.dc}`);
  if (file !== undefined) writeFileSync(file, `${refreshToken}\n`, { mode: 0o600 });
  say(file === undefined ? `ZOHO_REFRESH_TOKEN=${refreshToken}` : `ZOHO_REFRESH_TOKEN_FILE=${path.resolve(file)}`);
}

function reportScopes({ scopes }: Connection, say: Say): string[] {
  if (scopes === null) say(`# Zoho did not say which scopes were granted; needed are ${ALL_SCOPES.join(',')}`);
  const missing = missingScopes(scopes ?? ALL_SCOPES);
  if (missing.length > 0)
    say(`# Scopes that lack: ${missing.join(',')}\n# Make another code with ${ALL_SCOPES.join(',')}`);
  return missing;
}

function howToConnect(): string {
  return `ZOHO_CLIENT_ID and ZOHO_CLIENT_SECRET are not set.
  1. Open https://api-console.zoho.com (with the ending of your data centre, such as .eu) and add a Self Client.
  2. Set ZOHO_CLIENT_ID and ZOHO_CLIENT_SECRET to what it shows.
  3. Under Generate Code enter these scopes, and make a code that is good for some minutes:
     ${ALL_SCOPES.join(',')}
  4. npm run zoho -- connect --code CODE`;
}

/** Compares what announces changes in Zoho with what should, and prints what is missing per module. */
export async function check(config: Config, options: CheckOptions): Promise<number> {
  const modules = chosenModules(options.modules);
  return withClients(config, options.organization, async ({ db, clients }) => {
    let problems = 0;
    for (const client of clients) problems += await checkOrganization(db, client, modules, options);
    return problems > 0 ? EXIT_MISSING : 0;
  });
}

async function checkOrganization(
  db: Database,
  client: ZohoClient,
  modules: string[],
  { url: baseUrl, say }: CheckOptions,
): Promise<number> {
  const { organizationId } = client;
  const { rules, webhooks, retryPolicies } = await readAutomation(client);
  say(`Organization ${organizationId}: ${rules.length} workflow rules, ${webhooks.length} webhooks`);
  const expected = { organizationId, baseUrl: baseUrl && withoutSlash(baseUrl) };
  const findings = compareRules(modules, rules, webhooks, expected);
  await storeFindings(db, organizationId, findings);
  for (const { module, problems } of findings)
    say(`  ${module.padEnd(20)} ${problems.length === 0 ? 'ok' : problems.join(`\n${' '.repeat(23)}`)}`);
  say(`  ${'retry policy'.padEnd(20)} ${retryAdvice(retryPolicies)}`);
  const quota = (await quotaStates(db)).find(({ organization_id }) => organization_id === organizationId);
  if (quota?.day_limit) say(`  ${'calls left today'.padEnd(20)} ${quota.day_remaining} of ${quota.day_limit}`);
  return findings.reduce((sum, { problems }) => sum + problems.length, retryPolicies === 0 ? 1 : 0);
}

/** So that completeness and alerts know which modules nobody announces. */
async function storeFindings(db: Database, organizationId: string, findings: readonly Finding[]): Promise<void> {
  for (const { module, problems } of findings)
    await db
      .insertInto('tds_zoho_rules')
      .values({ organization_id: organizationId, module, problems })
      .onConflict((oc) =>
        oc.columns(['organization_id', 'module']).doUpdateSet({ problems, checked_at: sql<Date>`now()` }),
      )
      .execute();
}

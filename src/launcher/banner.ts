import { createHmac } from 'node:crypto';
import path from 'node:path';
import { type Config, SETTINGS } from '../config.ts';
import { styled } from './terminal.ts';

/** Stands for the company's own organization until ZOHO_ORGANIZATION_ID says which that is. */
export const SAMPLE_ORGANIZATION = '10234695';

const SAMPLE = JSON.stringify({
  invoice: {
    invoice_id: '982000000567114',
    invoice_number: 'INV-00001',
    customer_name: 'Example Ltd',
    status: 'sent',
    total: 1234.5,
    balance: 1234.5,
    last_modified_time: '2026-01-15T10:30:00+0100',
  },
});

/** Where the API answers, as seen from this machine. */
export function baseUrl({ host, port, basePath }: Pick<Config, 'host' | 'port' | 'basePath'>): string {
  const everywhere = host === '0.0.0.0' || host === '::';
  const name = everywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}${basePath}`;
}

/** The organization that samples are sent for: the configured one, else an invented one. */
export function organizationOf({ defaultOrganization }: Pick<Config, 'defaultOrganization'>): string {
  return isOrganizationSet({ defaultOrganization }) ? defaultOrganization : SAMPLE_ORGANIZATION;
}

/** What `npm start` prints once API and worker have started. `embeddedUrl` is set when the PostgreSQL is ours. */
export function banner(config: Config, embeddedUrl: string | undefined): string {
  const base = baseUrl(config);
  const token = config.operators.length > 0 ? " -H 'Authorization: Bearer <your token>'" : '';
  return [
    styled('bold', 'TDS Core is ready.'),
    '',
    ...rows({
      console: `${base}/dashboard/`,
      docs: `${base}/docs`,
      // A foreign URL may hold a password; the reader knows where it came from.
      database: `psql ${embeddedUrl ? `'${embeddedUrl}'` : '"$DATABASE_URL"'}`,
    }),
    '',
    ...rows(settings(config, embeddedUrl !== undefined)),
    '',
    '  Send samples, and see one of them fail and be retried (in another terminal):',
    `  ${styled('cyan', `${config.port === SETTINGS.port.fallback ? '' : `PORT=${config.port} `}npm run demo`)}`,
    '',
    '  Send a webhook, as Zoho Books would:',
    `  ${webhookCommand(config, `${base}/webhooks/zoho-books/${organizationOf(config)}/invoice/updated`)}`,
    '',
    '  See what became of it:',
    `  curl -s${token} '${base}/dashboard/recent-events?limit=5'`,
    '',
    'Ctrl-C stops everything; the data stays.',
  ].join('\n');
}

function rows(pairs: Record<string, string>): string[] {
  return Object.entries(pairs).map(([name, text]) => `  ${name.padEnd(13)} ${text}`);
}

/** The settings that decide who may do what and where it goes, each with its name in the environment. */
function settings(config: Config, embedded: boolean): Record<string, string> {
  const { webhookSecrets, webhookToken, operators, handlersDir, queueDriver } = config;
  const proofs = [
    ...(webhookSecrets.length > 0 ? ['signed'] : []),
    ...(webhookToken.length > 0 ? ['with a token'] : []),
  ];
  return {
    webhooks:
      proofs.length > 0
        ? `accepted ${proofs.join(config.webhookAuth === 'both' ? ' and ' : ' or ')}`
        : 'accepted unsigned, from this machine only (ZOHO_WEBHOOK_SECRET)',
    dashboard:
      operators.length > 0
        ? `for ${operators.map(({ name, role }) => `${name} (${role})`).join(', ')}`
        : 'open to this machine only (OPERATOR_TOKENS)',
    organization: isOrganizationSet(config)
      ? config.defaultOrganization
      : `not set: deliveries that name none are kept under '${config.defaultOrganization}' (ZOHO_ORGANIZATION_ID)`,
    handlers: handlersDir ? `the mirror, and those of ${shortPath(handlersDir)} (HANDLERS_DIR)` : 'the mirror',
    ...(queueDriver === 'bullmq' ? { queue: 'announced through Redis (QUEUE_DRIVER)' } : {}),
    ...(embedded ? { data: `${path.resolve(config.dataDir)} (TDS_DATA_DIR)` } : {}),
  };
}

function isOrganizationSet({ defaultOrganization }: Pick<Config, 'defaultOrganization'>): boolean {
  return defaultOrganization !== SETTINGS.defaultOrganization.fallback;
}

function shortPath(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith('..') ? file : relative;
}

/** A curl line with a proof when one is demanded: the signature of this very body, never the secret itself. */
function webhookCommand({ webhookSecrets, webhookToken }: Config, url: string): string {
  const headers = ["-H 'Content-Type: application/json'"];
  const [secret] = webhookSecrets;
  if (secret) headers.push(`-H 'X-Zoho-Webhook-Signature: ${sign(secret, SAMPLE)}'`);
  if (webhookToken.length > 0) headers.push('-H "X-Zoho-Webhook-Token: $ZOHO_WEBHOOK_TOKEN"');
  return `curl ${url} ${headers.join(' ')} -d '${SAMPLE}'`;
}

/** Zoho's scheme for a JSON body without a query string. */
function sign(secret: string, body: string): string {
  return createHmac('sha256', secret).update(body).digest('hex');
}

import { createHmac } from 'node:crypto';
import type { Config } from '../config.ts';

const SAMPLE = JSON.stringify({
  invoice: {
    invoice_id: '982000000567114',
    invoice_number: 'INV-00001',
    customer_name: 'Example Ltd',
    status: 'sent',
    total: 1234.5,
    currency_code: 'EUR',
    last_modified_time: '2026-01-15T10:30:00+0100',
  },
});

/** Where the API answers, as seen from this machine. */
export function baseUrl({ host, port, basePath }: Pick<Config, 'host' | 'port' | 'basePath'>): string {
  const everywhere = host === '0.0.0.0' || host === '::';
  const name = everywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}${basePath}`;
}

/** What `npm start` prints once everything is healthy. `embeddedUrl` is set when the PostgreSQL is ours. */
export function banner(config: Config, embeddedUrl: string | undefined): string {
  const base = baseUrl(config);
  const lines = [
    'TDS Core is ready.',
    '',
    `  console   ${base}/dashboard/`,
    `  docs      ${base}/docs`,
    // A foreign URL may hold a password; the reader knows where it came from.
    `  database  psql ${embeddedUrl ? `'${embeddedUrl}'` : '"$DATABASE_URL"'}`,
    '',
    '  Send a webhook:',
    `  ${webhookCommand(config, `${base}/webhooks/zoho-books`)}`,
    '',
    '  See what became of it:',
    `  curl -s${config.operators.length > 0 ? " -H 'Authorization: Bearer <your token>'" : ''} ${base}/dashboard/recent-events`,
    '',
    'Ctrl-C stops everything.',
  ];
  return lines.join('\n');
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

/** What the demo says at its end: where to look, and what to type. */
import { existsSync } from 'node:fs';
import type { Config } from '../src/config.ts';
import { openHome } from '../src/db/embedded-files.ts';
import type { Client, DeadLetter } from './client.ts';

/** `failed` is the dead letter of the event that fails; undefined when it did not become one. */
export function report(config: Config, { base, needsToken }: Client, failed: DeadLetter | undefined): string {
  const curl = needsToken ? 'curl -s -H "Authorization: Bearer $TDS_TOKEN"' : 'curl -s';
  const psql = psqlCommand(config);
  return [
    'Look at',
    `  the console        ${base}/dashboard/`,
    `  recent events      ${curl} '${base}/dashboard/recent-events?limit=20'`,
    `  the dead letters   ${curl} ${base}/dashboard/dead-letter`,
    ...(failed ? [`  and retry it       ${curl} -X POST ${base}/dashboard/dead-letter/${failed.id}/retry`] : []),
    '  the mirror',
    `    ${psql} -c "select invoice_number, status, total, balance from books_invoices where not deleted"`,
    `    ${psql} -c "select module, entity_id, version, deleted_at from books_records order by updated_at desc limit 20"`,
    ...(needsToken
      ? ['TDS_TOKEN stands for the token of an operator, the third part of an entry of OPERATOR_TOKENS.']
      : []),
  ].join('\n');
}

/** How to reach the database: an embedded one listens on a Unix socket only. */
function psqlCommand({ databaseUrl, dataDir }: Config): string {
  if (databaseUrl || !existsSync(dataDir)) return 'psql "$DATABASE_URL"';
  return `psql 'postgresql://tds@/tds?host=${encodeURIComponent(openHome(dataDir).socketDir)}'`;
}

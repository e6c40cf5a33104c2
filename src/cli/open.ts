import type { Config } from '../config.ts';
import { UsageError } from './command.ts';
import { httpTransport } from './http.ts';
import type { Transport } from './transport.ts';

/**
 * TDS_URL, when it is set; else the database of DATABASE_URL; else the API of this machine.
 * @param url goes before both
 */
export async function openTransport(config: Config, url: string | undefined): Promise<Transport> {
  const base = url ?? config.tdsUrl;
  if (base === undefined && config.databaseUrl !== undefined) {
    const { localTransport } = await import('./local.ts');
    return localTransport(config, config.databaseUrl);
  }
  return httpTransport(baseOf(base ?? `http://127.0.0.1:${config.port}${config.basePath}`), config.tdsToken);
}

function baseOf(text: string): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError('TDS_URL must look like https://api.example.com/tds');
  return `${url.origin}${url.pathname.replace(/(?<!\/)\/+$/, '')}`;
}

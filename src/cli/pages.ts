import { parseLossless } from '../lossless.ts';
import type { Query, Transport } from './transport.ts';

const PAGE = 200;

/** At most `limit` rows of a list, page by page, until `enough` says of a row that neither it nor a later one counts. */
export async function readList<T>(
  api: Transport,
  path: string,
  options: { limit: number; query?: Query; enough?: (row: T) => boolean },
): Promise<T[]> {
  const rows: T[] = [];
  for (let cursor: string | undefined; ; ) {
    const left = options.limit - rows.length;
    const query = { ...options.query, limit: Math.min(left, PAGE), cursor };
    const { headers, text } = await api.ask('GET', path, query);
    for (const row of parseLossless(text) as T[]) {
      if (options.enough?.(row)) return rows;
      rows.push(row);
    }
    cursor = headers.get('x-next-cursor') ?? undefined;
    if (cursor === undefined || rows.length >= options.limit) return rows;
  }
}

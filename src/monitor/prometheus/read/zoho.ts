import { sql } from 'kysely';
import type { Database } from '../../../db/database.ts';
import { FAILURES_THAT_PAUSE } from '../../../zoho/quota/quota.ts';
import { type Family, gauge } from '../family.ts';

type Row = { organization_id: string; circuit_open: boolean; paused: boolean; day_remaining: number | null };

/** How calls of the Zoho Books API go, by organization: as many as are connected. */
export async function zohoFamilies(db: Database): Promise<Family[]> {
  const { rows } = await sql<Row>`
    select organization_id, coalesce(paused_until > now(), false) as paused,
      coalesce(paused_until > now(), false) and failures >= ${FAILURES_THAT_PAUSE} as circuit_open,
      case when day_resets_at > now() then day_remaining end as day_remaining
    from tds_zoho_quota order by organization_id`.execute(db);
  const each = (measure: (row: Row) => number | null) =>
    rows.flatMap((row) => {
      const value = measure(row);
      return value === null ? [] : [{ labels: { organization_id: row.organization_id }, value }];
    });
  const isOpen = rows.some(({ circuit_open }) => circuit_open);
  return [
    gauge(
      'tds_circuit_open',
      '1 while calls of the Zoho Books API pause because several in a row have failed.',
      each(({ circuit_open }) => Number(circuit_open)),
    ),
    gauge(
      'tds_zoho_calls_paused',
      '1 while calls of the Zoho Books API pause for any reason, limits of Zoho included.',
      each(({ paused }) => Number(paused)),
    ),
    gauge(
      'tds_zoho_day_calls_remaining',
      "What is left of the day's calls, as Zoho said last; no sample while that is unknown.",
      each(({ day_remaining }) => day_remaining),
    ),
    gauge('network_health_score', HEALTH, isOpen ? 0 : await answeredPercent(db)),
  ];
}

const HEALTH =
  '0 to 100: 100 * (1 - failed / ended) over the calls of the Zoho Books API of the last five minutes, where failed ' +
  'ones got no usable answer (5xx, time-out, network); 100 without calls; 0 while a circuit is open.';

async function answeredPercent(db: Database): Promise<number> {
  // greatest() passes over a null, so what is unknown without calls is replaced before it.
  const { rows } = await sql<{ percent: number }>`
    select greatest(0, coalesce(100 * (1 - sum(failures) / nullif(sum(calls), 0)), 100))::float8 as percent
    from tds_zoho_totals where bucket > now() - interval '5 minutes'`.execute(db);
  return rows[0]?.percent ?? 100;
}

import type { Database } from '../../../db/database.ts';
import { type Completeness, readCompleteness } from '../../completeness.ts';
import { type Family, gauge } from '../family.ts';

/** Whether each module is complete, as `/dashboard/completeness` says it. */
export async function completenessFamilies(db: Database): Promise<Family[]> {
  const modules = await readCompleteness(db);
  const each = (name: string, help: string, measure: (one: Completeness) => number | null) =>
    gauge(
      name,
      help,
      modules.flatMap((one) => {
        const [{ organization_id, module }, value] = [one, measure(one)];
        return value === null ? [] : [{ labels: { organization_id, module }, value }];
      }),
    );
  return [
    each('tds_module_records', 'Live records in Zoho Books when the list was last read whole.', (one) => one.records),
    each('tds_module_holes', 'Changes that no webhook announced, of RETENTION_DAYS.', (one) => one.holes),
    each('tds_module_holes_last_24h', 'The same, found in the last 24 hours.', (one) => one.holes_last_24h),
    each('tds_module_incomplete', 'Records of which only parts are known.', (one) => one.incomplete),
    each('tds_module_stale', 'Records of which a newer state is known to exist.', (one) => one.stale),
    each(
      'tds_module_webhooks_last_24h',
      'Deliveries of the last 24 hours, by the hour.',
      (one) => one.webhooks_last_24h,
    ),
    each('tds_module_silent', '1 while webhooks are missing or overdue.', (one) => Number(one.silent)),
    each(
      'tds_module_last_webhook_timestamp_seconds',
      'When the last delivery came; no sample before the first.',
      (one) => seconds(one.last_webhook_at),
    ),
    each(
      'tds_module_reconciled_timestamp_seconds',
      'When the last reconciliation ended; no sample before the first.',
      (one) => seconds(one.last_reconcile?.completed_at),
    ),
    each(
      'tds_module_reconciled_records',
      'Records that the last reconciliation compared.',
      (one) => one.last_reconcile?.records ?? null,
    ),
    each(
      'tds_module_reconciled_agree',
      'Of these, records that were the same on both sides at its end.',
      (one) => one.last_reconcile?.agree ?? null,
    ),
  ];
}

function seconds(time: Date | string | null | undefined): number | null {
  return time ? new Date(time).getTime() / 1000 : null;
}

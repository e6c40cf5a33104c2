/** What other parts of a process call, so that they need not know the names of metrics. */
import type { RunEnd } from '../../workflows/execute.ts';
import type { Progress } from '../../workflows/workflow.ts';
import type { ClientOptions } from '../../zoho/client/client.ts';
import { ZohoError } from '../../zoho/client/errors.ts';
import { pullModules } from '../../zoho/modules/pull-modules.ts';
import type { ProcessMetrics } from './process-metrics.ts';

/** The pools of connections whose statements are timed. */
export type PoolName = 'inbox' | 'operators' | 'queue' | 'handlers' | 'workflows';

export function statementsOf(metrics: ProcessMetrics, pool: PoolName): (seconds: number) => void {
  const labels = { pool };
  return (seconds) => metrics.observe('database_query_duration_seconds', labels, seconds);
}

/** Counts every call of the Zoho Books API that is sent, whatever becomes of it. */
export function zohoCalls(metrics: ProcessMetrics): NonNullable<ClientOptions['onCall']> {
  return ({ what, durationMs, error }) => {
    const module = moduleOf(what);
    metrics.count('zoho_api_calls_total', { module });
    metrics.observe('zoho_api_call_duration_seconds', { module }, durationMs / 1000);
    if (error === undefined) return;
    const problem = error instanceof ZohoError ? error.problem : 'other';
    metrics.count('zoho_api_errors_total', { module, problem });
  };
}

const MODULES = new Map(
  pullModules.flatMap(
    ({ name, listPath, bulk }) =>
      [[listPath, name], ...(bulk ? [[bulk.path, name] as const] : [])] as [string, string][],
  ),
);

/** The module of `/invoices/982000000567114`. */
function moduleOf(path: string): string {
  return MODULES.get(path) ?? MODULES.get(path.slice(0, path.lastIndexOf('/'))) ?? 'other';
}

/** Counts what each activity of a pull has got through. */
export function pullProgress(metrics: ProcessMetrics): (before: Progress, now: Progress) => void {
  return (before, now) => {
    const module = now.module ?? 'other';
    metrics.count('tds_pulled_records_total', { module }, Math.max(0, now.records - before.records));
    metrics.count('tds_pulled_pages_total', { module }, Math.max(0, now.pages - before.pages));
  };
}

/** Counts a workflow run that has ended; one that was only given back goes on later. */
export function countRun(metrics: ProcessMetrics, name: string, end: RunEnd, startedAt: number): void {
  if (end !== 'completed' && end !== 'failed') return;
  // SyncAllInvoices is SyncAll, of one module.
  const operation = /^(SyncAll|SyncChanged|Reconcile)/.exec(name)?.[1] ?? 'other';
  metrics.count('sync_operations_total', { operation, result: end });
  metrics.observe('sync_operations_duration_seconds', { operation }, (performance.now() - startedAt) / 1000);
}

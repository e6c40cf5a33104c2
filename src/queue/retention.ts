/** What is purged by age, each with a retention of its own. */
export const RETENTION_KINDS = [
  ...(['events', 'dead_letters', 'failures', 'rejections', 'alerts', 'notifications', 'totals'] as const),
  ...(['workflows', 'pulls', 'retry_runs', 'tokens'] as const),
] as const;

export type RetentionKind = (typeof RETENTION_KINDS)[number];

/** How many days everything is kept, or that and the days of some kinds. */
export type Retention = number | { days: number; byKind: Partial<Record<RetentionKind, number>> };

/** How many days a kind is kept. */
export function daysOf(retention: Retention, kind?: RetentionKind): number {
  if (typeof retention === 'number') return retention;
  return (kind && retention.byKind[kind]) ?? retention.days;
}

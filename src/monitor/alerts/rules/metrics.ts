import type { Rule } from '../rule.ts';

/** Whether the numbers can be trusted. */
export const METRICS_RULES: readonly Rule[] = [
  {
    rule: 'metrics_drift',
    condition: 'metricsDrift',
    title: 'Roll-ups Differ',
    severity: 'warning',
    threshold: 0,
    message: (n) =>
      `${n} hourly roll-up${n === 1 ? ' differs' : 's differ'} from what the tables say. Rebuild what is derived.`,
    cause: 'Somebody wrote the roll-ups by hand or switched triggers off, or TDS Core has a defect.',
    look: '/dashboard/sync/metrics?period=hour&limit=72',
    step: 'Run `tds queue rebuild`, which counts the last three days anew; report it if it comes back.',
  },
];

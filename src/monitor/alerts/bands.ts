/** The operations guide's 'Key Metrics to Watch': what is normal, what a warning, what critical. */

export type Band = 'normal' | 'warning' | 'critical';

export type KeyMetric = {
  metric: 'pending' | 'processing' | 'dead_letter' | 'success_rate';
  value: number;
  band: Band;
  /** Where each band begins; null: there is none. */
  warning: number | null;
  critical: number | null;
};

/**
 * Names and defaults; KEY_METRIC_BANDS overrides them. A warning begins at its number (the success rate: at or
 * below it), critical lies beyond its own.
 */
const DEFAULTS = {
  pending_warning: 100,
  pending_critical: 500,
  dead_letter_warning: 10,
  dead_letter_critical: 50,
  success_rate_warning: 95,
  success_rate_critical: 90,
} as const;

export const BAND_NAMES = Object.keys(DEFAULTS);

export type Measured = { pending: number; processing: number; dead_letter: number; success_rate_percent: number };

/** @param isStandstill the rule processing_standstill fires: the number in hand has stood still for five minutes */
export function keyMetrics(
  { pending, processing, dead_letter, success_rate_percent: rate }: Measured,
  isStandstill: boolean,
  overrides: Readonly<Record<string, number>> = {},
): KeyMetric[] {
  const at = { ...DEFAULTS, ...overrides };
  const rising = (metric: 'pending' | 'dead_letter', value: number): KeyMetric => {
    const [warning, critical] = [at[`${metric}_warning`], at[`${metric}_critical`]];
    const band = value > critical ? 'critical' : value >= warning ? 'warning' : 'normal';
    return { metric, value, band, warning, critical };
  };
  const [warning, critical] = [at.success_rate_warning, at.success_rate_critical];
  return [
    rising('pending', pending),
    {
      metric: 'processing',
      value: processing,
      band: isStandstill ? 'warning' : 'normal',
      warning: null,
      critical: null,
    },
    rising('dead_letter', dead_letter),
    {
      ...{ metric: 'success_rate', value: rate, warning, critical },
      // Healthy is more than 95 %.
      band: rate < critical ? 'critical' : rate <= warning ? 'warning' : 'normal',
    },
  ];
}

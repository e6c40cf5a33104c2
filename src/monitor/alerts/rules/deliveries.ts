import type { Rule } from '../rule.ts';

/** What arrives, or should: deliveries that were rejected, and records that look different. */
export const DELIVERY_RULES: readonly Rule[] = [
  {
    rule: 'webhooks_rejected',
    condition: 'rejectedSinceAccepted',
    title: 'Webhooks Rejected',
    severity: 'warning',
    threshold: 0,
    message: (n) =>
      `${n} webhook deliveries have been rejected since the last accepted one. Look at dashboard/webhooks/rejected.`,
    cause: 'The secret or the address of a webhook in Zoho Books was changed, or a stranger sends.',
    look: '/dashboard/webhooks/rejected',
    step: 'Read the cause; explain one with `npm run explain-signature`.',
  },
  {
    rule: 'field_drift',
    condition: 'driftingFields',
    title: 'Fields Have Changed',
    severity: 'info',
    threshold: 0,
    message: (n) =>
      `${n} field${n === 1 ? ' has' : 's have'} appeared, vanished or become unreadable. Look at dashboard/field-drift.`,
    cause: 'Somebody changed custom fields or a webhook template, or Zoho changed its records.',
    look: '/dashboard/field-drift',
    step: 'See whether reports need the new field, or show nulls.',
  },
];

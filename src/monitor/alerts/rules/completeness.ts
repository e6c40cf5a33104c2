import type { Labels } from '../../../db/schema.ts';
import { type Rule, round } from '../rule.ts';

const of = ({ module, organization_id }: Labels) => `${module} of organization ${organization_id}`;
const LOOK = '/dashboard/completeness';

/** Whether Zoho announces what changes. */
export const COMPLETENESS_RULES: readonly Rule[] = [
  {
    rule: 'module_silent',
    condition: 'silentModules',
    title: 'Module Silent',
    severity: 'warning',
    threshold: 0,
    message: (_n, labels) => `No webhook comes for ${of(labels)} any more. Check its workflow rules in Zoho Books.`,
    cause: 'A workflow rule was switched off or deleted, its webhook leads elsewhere, or the daily limit is used up.',
    look: LOOK,
    step: 'Run `npm run zoho -- check`; it says which rule lacks.',
  },
  {
    rule: 'holes_found',
    condition: 'holes',
    title: 'Holes Found',
    severity: 'warning',
    threshold: 0,
    message: (n, labels) =>
      `${n} ${n === 1 ? 'change' : 'changes'} of ${of(labels)} came without a webhook in the last 24 hours. The mirror has them; see why.`,
    cause: 'Records were imported, changed by custom functions or by other Zoho apps, or deliveries were lost.',
    look: LOOK,
    step: 'Look in tds_holes for what they have in common; run `npm run zoho -- check`.',
  },
  {
    rule: 'webhook_limit_near',
    condition: 'webhookLimitPercent',
    title: 'Daily Limit Of Webhooks Near',
    severity: 'warning',
    threshold: 90,
    clearsAt: 80,
    message: (percent, { organization_id }) =>
      `Organization ${organization_id} has sent ${round(percent)} % of its plan's webhooks in 24 hours. What is beyond the limit comes by pull only.`,
    cause: 'Many records change, or a rule fires more often than it needs to.',
    look: LOOK,
    step: 'See which module sends most; shorten SYNC_CHANGED_CRON, or take a larger plan.',
  },
  {
    rule: 'webhook_rule_missing',
    condition: 'unannouncedModules',
    title: 'Workflow Rule Missing',
    severity: 'info',
    threshold: 0,
    message: (_n, labels) =>
      `Not all changes of ${of(labels)} are announced. Add the rules that the last check lacked.`,
    cause: 'No active workflow rule in Zoho Books announces its new records, changes or deletions.',
    look: LOOK,
    step: 'Run `npm run zoho -- check`, add what it names, and run it again.',
  },
];

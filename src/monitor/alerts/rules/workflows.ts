import type { Rule } from '../rule.ts';

/** Workflows, and what reconciliations found. */
export const WORKFLOW_RULES: readonly Rule[] = [
  {
    rule: 'workflow_without_progress',
    condition: 'workflowsWithoutProgress',
    title: 'Workflow Without Progress',
    severity: 'warning',
    threshold: 0,
    quietWhilePaused: true,
    message: (n) => `${n} running ${workflows(n)} finished no activity for long. Look at its log, then terminate it.`,
    cause: 'A call hangs, or no worker takes the run.',
    look: '/dashboard/workflows?status=running',
    step: 'Look at its log; terminate it and start a new run.',
  },
  {
    rule: 'workflow_failed_for_good',
    condition: 'failedForGood',
    title: 'Workflow Failed For Good',
    severity: 'critical',
    threshold: 0,
    message: (n, { error_tag }) =>
      `${n} ${workflows(n)} failed with ${error_tag}. It would fail again: read result.cause, cure the cause first, then retry it.`,
    cause: 'Zoho refused what was asked for, or the workflow itself has a defect.',
    look: '/dashboard/workflows?status=failed',
    step: 'Read `result.cause`, cure the cause, then retry the run.',
  },
  {
    rule: 'workflow_failed',
    condition: 'failedForNow',
    title: 'Workflow Failed',
    severity: 'warning',
    threshold: 0,
    message: (n, { error_tag }) =>
      `${n} ${workflows(n)} failed with ${error_tag}. Retry it once the other side works again: it goes on where it was.`,
    cause: "Zoho's API or the network had an outage that outlasted all attempts.",
    look: '/dashboard/workflows?status=failed',
    step: "Look at Zoho's status page; when it is well, retry the run.",
  },
  {
    rule: 'deletions_withheld',
    condition: 'withheldDeletions',
    title: 'Deletions Withheld',
    severity: 'critical',
    threshold: 0,
    message: (n) =>
      `${n} deletions are withheld: Zoho's lists lack so many records at once. If they were deleted on purpose, ` +
      'approve the reconciliation that withheld them, with a reason.',
    cause: "Somebody deleted many records, or the API user's role no longer sees them.",
    look: '/dashboard/workflows?name=Reconcile',
    step: 'Ask whether they were deleted on purpose; then approve the run, with a reason.',
  },
  {
    rule: 'module_differs',
    condition: 'differingModules',
    title: 'Mirror Differs From Zoho',
    severity: 'warning',
    threshold: 0,
    message: (n) =>
      `The last reconciliation of ${n === 1 ? 'a module' : `${n} modules`} ended with differences. ` +
      'Read problems in its result, and look at the dead letters.',
    cause: 'Some records could not be fetched or stored.',
    look: '/dashboard/workflows?name=Reconcile',
    step: 'Read `problems` in its result; retry the dead letters of the module.',
  },
];

function workflows(n: number): string {
  return n === 1 ? 'workflow has' : 'workflows have';
}

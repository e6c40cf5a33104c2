import type { Rule } from './rules.ts';

/** What the rules about reconciliations look at; null means unknown. */
export type PullFacts = {
  /** Deletions that wait for an operator's approval. */
  withheldDeletions: number | null;
  /** Modules whose last reconciliation did not end in agreement. */
  differingModules: number | null;
};

export const PULL_RULES: readonly Rule[] = [
  {
    rule: 'deletions_withheld',
    condition: 'withheldDeletions',
    title: 'Deletions Withheld',
    severity: 'critical',
    threshold: 0,
    message: (n) =>
      `${n} deletions are withheld: Zoho's lists lack so many records at once. If they were deleted on purpose, ` +
      'approve the reconciliation that withheld them, with a reason.',
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
  },
];

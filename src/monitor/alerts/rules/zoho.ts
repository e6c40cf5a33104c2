import { type Rule, round } from '../rule.ts';

/** The Zoho Books API. */
export const ZOHO_RULES: readonly Rule[] = [
  {
    rule: 'external_api_failing',
    condition: 'zohoFailurePercent',
    title: 'Zoho Books API Failing',
    severity: 'critical',
    threshold: 10,
    clearsAt: 5,
    forSeconds: 300,
    message: (percent) =>
      `${round(percent)} % of the calls of Zoho's API have been failing for five minutes. Look at Zoho's status page.`,
    cause: "Zoho's API or the network to it has an outage.",
    look: '/readyz?verbose',
    step: "Look at Zoho's status page; what was not pulled is pulled later by itself.",
  },
  {
    rule: 'external_api_failures_in_a_row',
    condition: 'zohoFailuresInARow',
    title: 'Zoho Books API Not Answering',
    severity: 'warning',
    threshold: 2,
    message: (n) => `The last ${n} calls of Zoho's API failed. Look at Zoho's status page if it goes on.`,
    cause: "Zoho's API or the network to it has an outage.",
    look: '/readyz?verbose',
    step: "Look at Zoho's status page and at the reason in tds_zoho_quota.pause_reason.",
  },
  {
    rule: 'circuit_tripping',
    condition: 'circuitTrips',
    title: 'Circuit Tripped Often',
    severity: 'warning',
    threshold: 50,
    clearsAt: 40,
    message: (n) => `Calls of Zoho's API were paused for failures ${n} times within a day. Review the worker's log.`,
    cause: "Zoho's API is unsteady, or the network to it.",
    look: '/readyz?verbose',
    step: "Review the reasons in the worker's log; tell Zoho's support when it lasts.",
  },
];

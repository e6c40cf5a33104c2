/** The states of a run and what an operator may do in each. A leaf: it imports nothing. */

/** The five values of `tds_workflows.status`. A run that waits for a worker is `running` too. */
export const WORKFLOW_STATUSES = ['running', 'paused', 'completed', 'failed', 'terminated'] as const;
export type WorkflowStatus = (typeof WORKFLOW_STATUSES)[number];

/** What an operator can do with a run. */
export const DEEDS = ['pause', 'resume', 'retry', 'terminate'] as const;
export type Deed = (typeof DEEDS)[number];

const ENDED = {
  completed: 'It has completed: start a new run instead.',
  terminated: 'It was terminated, which is for good: start a new run instead.',
} as const;
const FAILED = 'It has failed: retry it, which goes on from the last activity that was completed.';

/** The status that a deed leads to, or the sentence that says why it cannot be done and what can. */
const TRANSITIONS: Record<Deed, Record<WorkflowStatus, { to: WorkflowStatus } | { refusal: string }>> = {
  pause: {
    running: { to: 'paused' },
    paused: { refusal: 'It is paused already: resume it to let it go on.' },
    failed: { refusal: FAILED },
    completed: { refusal: ENDED.completed },
    terminated: { refusal: ENDED.terminated },
  },
  resume: {
    running: { refusal: 'It is running: there is nothing to resume. waits_for says what it may be waiting for.' },
    paused: { to: 'running' },
    failed: { refusal: FAILED },
    completed: { refusal: ENDED.completed },
    terminated: { refusal: ENDED.terminated },
  },
  retry: {
    running: { refusal: 'It is running: wait for its end, or terminate it and start a new run.' },
    paused: { refusal: 'It is paused: resume it.' },
    failed: { to: 'running' },
    completed: { refusal: ENDED.completed },
    terminated: { refusal: ENDED.terminated },
  },
  terminate: {
    running: { to: 'terminated' },
    paused: { to: 'terminated' },
    failed: { to: 'terminated' },
    completed: { refusal: 'It has completed: there is nothing left to terminate.' },
    terminated: { refusal: 'It is terminated already.' },
  },
};

/** What becomes of a run of this status by a deed: the next status, or why not and what to do instead. */
export function transition(deed: Deed, status: WorkflowStatus): { to: WorkflowStatus } | { refusal: string } {
  return TRANSITIONS[deed][status];
}

/** So many workers in a row may die with a run in hand, without an activity finished in between, before it fails. */
export const MAX_CRASHES = 5;

/** Seconds until a run that was in hand when its worker died is taken up again: 2, 4, 8, 16. */
export function secondsAfterCrash(crashes: number): number {
  return 2 ** crashes;
}

import type { ErrorTag } from '../../errors.ts';
import type { Rule } from './rules.ts';

/** What the rules about workflows look at; null means unknown. */
export type WorkflowFacts = {
  /** Runs that should be getting on and have finished no activity for a long time. */
  workflowsWithoutProgress: number | null;
} & Record<`failed${ErrorTag}`, number | null>;

/** By error tag: whether another attempt may help, which decides what to do and how much it hurries. */
const TAGS: Record<ErrorTag, 'retry' | 'do not retry'> = {
  ValidationError: 'do not retry',
  ConflictError: 'do not retry',
  UnknownError: 'do not retry',
  ProcessCrash: 'do not retry',
  InternalServerError: 'retry',
  ServiceUnavailableError: 'retry',
  TimeoutError: 'retry',
  NetworkError: 'retry',
  RateLimitError: 'retry',
};

const ADVICE = {
  'do not retry': 'It would fail again: read result.cause, cure the cause first, then retry it.',
  retry: 'Retry it once the other side works again: it goes on where it was.',
} as const;

/** Without progress first, then one rule per error tag of failed workflows. */
export const WORKFLOW_RULES: readonly Rule[] = [
  {
    rule: 'workflow_without_progress',
    condition: 'workflowsWithoutProgress',
    title: 'Workflow Without Progress',
    severity: 'warning',
    threshold: 0,
    message: (n) => `${n} running ${workflows(n)} finished no activity for long. Look at its log, then terminate it.`,
  },
  ...(Object.keys(TAGS) as ErrorTag[]).map((tag): Rule => {
    const word = tag.replaceAll(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
    return {
      rule: `workflow_failed_${word}`,
      condition: `failed${tag}`,
      title: `Workflow Failed: ${tag}`,
      severity: TAGS[tag] === 'retry' ? 'warning' : 'critical',
      threshold: 0,
      message: (n) => `${n} ${workflows(n)} failed with ${tag}. ${ADVICE[TAGS[tag]]}`,
    };
  }),
];

function workflows(n: number): string {
  return n === 1 ? 'workflow has' : 'workflows have';
}

import type { InHand, WorkInHand } from '../in-hand.ts';
import type { Answer } from './ask-main-thread.ts';

/** What blocks the loop, as far as it is known. */
export type Suspect = {
  /** The handler at work, when there is no doubt about it. */
  work: WorkInHand | undefined;
  /** The handlers that may be it, when there is. */
  candidates: WorkInHand[];
  stack: string[];
};

const MAX_CANDIDATES = 10;

/** Judges from the main thread's answer or, when it cannot answer, from what its memory says. */
export function suspect(memory: InHand, answer: Answer | undefined): Suspect {
  if (answer) return { work: answer.work ?? undefined, candidates: [], stack: answer.stack };
  const { listed, unlisted } = memory.all();
  const only = listed.length === 1 && unlisted === 0 ? listed[0] : undefined;
  const work = memory.running() ?? only;
  return { work, candidates: work ? [] : listed.slice(0, MAX_CANDIDATES), stack: [] };
}

/** The event to charge: none while it is in doubt which one it was, as among the events of a set. */
export function culpritOf({ work }: Suspect): string | null {
  return work?.events === 1 ? work.eventId : null;
}

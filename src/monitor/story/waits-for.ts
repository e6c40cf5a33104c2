import type { Status } from '../../queue/vocabulary.ts';

/** What is known about why an event is where it is, all of one moment. */
export type WaitFacts = {
  status: Status;
  /** An operator took it out of the queue; `into` is the event that was made of it by an edit. */
  discarded: { by: string; at: Date; into: string | null } | null;
  /** An operator took it out of the queue until its release. */
  quarantined: { by: string; reason: string } | null;
  /** The moment itself. */
  now: Date;
  runAt: Date;
  suspect: boolean;
  errorTag: string | null;
  attemptCount: number;
  paused: { by: string | null; at: Date | null; reason: string | null } | null;
  /** The pause of its event type. */
  held: { type: string; by: string; at: Date; reason: string } | null;
  /** The event itself in a worker's hands. */
  heldBy: { worker: string; since: Date } | null;
  /** An event of the same entity that comes first. */
  before: { id: string; status: Status; heldBy: string | null; pausedType: string | null } | null;
  /** Until when the Zoho quota of its organization is used up. */
  quotaUntil: Date | null;
  workersAlive: number;
  /** Those of them that no operator has drained. */
  workersClaiming: number;
};

export type WaitReason =
  | 'done'
  | 'dead'
  | 'quarantined'
  | 'discarded'
  | 'processing'
  | 'paused'
  | 'its_turn'
  | 'quota'
  | 'rate_limit'
  | 'retry'
  | 'given_back'
  | 'no_worker'
  | 'drained'
  | 'suspect'
  | 'free_slot';

export type WaitsFor = {
  reason: WaitReason;
  sentence: string;
  /** When it goes on by itself, where that is known. */
  until: Date | null;
  /** The event it waits for. */
  event_id: string | null;
};

/** What an event waits for, in one sentence: the first thing in its way. */
export function waitsFor(facts: WaitFacts): WaitsFor {
  const nothing = { until: null, event_id: null };
  if (facts.discarded)
    return {
      reason: 'discarded',
      sentence: outOfTheQueue(facts.discarded),
      until: null,
      event_id: facts.discarded.into,
    };
  switch (facts.status) {
    case 'completed':
      return { reason: 'done', sentence: 'It waits for nothing: it is completed.', ...nothing };
    case 'dead_letter':
      return { ...asDeadLetter(facts), ...nothing };
    case 'processing':
      return { reason: 'processing', sentence: inHand(facts), ...nothing };
    case 'pending':
    case 'retry':
      return inTheQueue(facts);
  }
}

function asDeadLetter({ quarantined }: WaitFacts): Pick<WaitsFor, 'reason' | 'sentence'> {
  if (quarantined === null)
    return { reason: 'dead', sentence: 'It is a dead letter and waits for an operator to retry it.' };
  const { by, reason } = quarantined;
  return { reason: 'quarantined', sentence: `${by} took it out of the queue (${reason}); it waits for its release.` };
}

function outOfTheQueue({ by, at: since, into }: NonNullable<WaitFacts['discarded']>): string {
  if (into !== null)
    return `It waits for nothing: ${by} edited it at ${at(since)}, and event ${into} runs in its place.`;
  return `It waits for nothing: ${by} discarded it at ${at(since)}; it can be restored for 30 days.`;
}

function inHand({ heldBy }: WaitFacts): string {
  if (!heldBy) return 'It counts as being processed, but no worker holds it: set its status to pending.';
  return `It is being processed by worker ${heldBy.worker} since ${at(heldBy.since)}.`;
}

function inTheQueue(facts: WaitFacts): WaitsFor {
  const { paused, held, before, runAt, now, suspect, workersAlive, workersClaiming } = facts;
  const nothing = { until: null, event_id: null };
  if (paused) return { reason: 'paused', sentence: pausedBy(paused), ...nothing };
  if (held) return { reason: 'paused', sentence: typePausedBy(held), ...nothing };
  if (before) return { reason: 'its_turn', sentence: behind(before), until: null, event_id: before.id };
  if (runAt > now) return later(facts);
  if (workersAlive === 0)
    return { reason: 'no_worker', sentence: 'No worker is alive: start tds-core-worker.', ...nothing };
  if (workersClaiming === 0)
    return {
      reason: 'drained',
      sentence: 'Every worker was drained by an operator: tds workers drain --resume lets them claim again.',
      ...nothing,
    };
  if (suspect) {
    const sentence = 'Its worker died while it had this event in hand: it waits to run alone, in a process of its own.';
    return { reason: 'suspect', sentence, ...nothing };
  }
  return { reason: 'free_slot', sentence: 'It is due and waits for a free slot of a worker.', ...nothing };
}

function pausedBy({ by, at: since, reason }: NonNullable<WaitFacts['paused']>): string {
  const who = [by && ` by ${by}`, since && ` since ${at(since)}`].filter(Boolean).join('');
  return `The queue is paused${who}${reason ? `: ${reason}` : ''}.`;
}

function typePausedBy({ type, by, at: since, reason }: NonNullable<WaitFacts['held']>): string {
  return `Events of the type ${type} are paused by ${by} since ${at(since)}: ${reason}.`;
}

function behind({ id, status, heldBy, pausedType }: NonNullable<WaitFacts['before']>): string {
  const stands = pausedType === null ? `stands in ${status}` : `is paused with all of ${pausedType}`;
  const does = status === 'processing' ? `is being processed by worker ${heldBy ?? 'nobody'}` : stands;
  return `It waits for its turn behind event ${id} of the same record, which ${does}.`;
}

/** It comes again by itself. */
function later({ status, errorTag, runAt, quotaUntil, now, attemptCount }: WaitFacts): WaitsFor {
  const until = { until: runAt, event_id: null };
  if (status === 'retry') {
    const why = `attempt ${attemptCount} failed with ${errorTag ?? 'an error'}`;
    return { reason: 'retry', sentence: `It is tried again at ${at(runAt)}: ${why}.`, ...until };
  }
  if (errorTag === 'RateLimitError' && quotaUntil && quotaUntil > now)
    return {
      reason: 'quota',
      sentence: `The Zoho quota is used up until ${at(quotaUntil)}; it comes again at ${at(runAt)}.`,
      ...until,
    };
  if (errorTag === 'RateLimitError')
    return { reason: 'rate_limit', sentence: `It waits for a rate limit until ${at(runAt)}.`, ...until };
  const why = errorTag ? ` after ${errorTag}` : '';
  return {
    reason: 'given_back',
    sentence: `It was given back uncharged${why} and comes again at ${at(runAt)}.`,
    ...until,
  };
}

function at(time: Date): string {
  return time.toISOString();
}

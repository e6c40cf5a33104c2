/** What the queue promises, as a few lines of TypeScript over a list of events: the reference of model.test.ts. */
import type { Outcome, Status } from '../../src/queue/vocabulary.ts';

export type ModelEvent = {
  id: string;
  entity: string;
  arrival: number;
  priority: number;
  status: Status;
  attempts: number;
  releases: number;
  due: boolean;
  suspect: boolean;
  /** The lease of the claim that holds it. */
  claim: string | null;
};

export type ClaimRequest = { limit: number; perEntity: number; from: 'head' | 'suspects' };

const MAX_ATTEMPTS = 3;
const MAX_FREE_RELEASES = 5;

export class ReferenceQueue {
  events: ModelEvent[] = [];
  paused = false;

  arrive(id: string, entity: string, arrival: number): void {
    const fresh = {
      priority: 1,
      status: 'pending',
      attempts: 0,
      releases: 0,
      due: true,
      suspect: false,
      claim: null,
    } as const;
    this.events.push({ id, entity, arrival, ...fresh });
  }

  /** The ids that a claim must get, in order of arrival. */
  claim(lease: string, { limit, perEntity, from }: ClaimRequest): ModelEvent[] {
    if (this.paused) return [];
    const entities = from === 'head' ? this.#urgentEntities(limit) : this.#suspectEntities(limit);
    const runnable = (event: ModelEvent) => (from === 'head' ? event.due : event.suspect);
    const chosen = [...entities].flatMap((entity) => takeWhile(this.#line(entity).slice(0, perEntity), runnable));
    const claimed = chosen.sort(byArrival).slice(0, limit);
    for (const event of claimed) Object.assign(event, { status: 'processing', claim: lease });
    return claimed;
  }

  /** Ends events that are held together; an event that has to wait takes the later ones of its entity back with it. */
  end(events: ModelEvent[], outcome: Outcome, delayed: boolean): void {
    const { claim } = events[0] as ModelEvent;
    for (const event of events) endOne(event, outcome, delayed);
    for (const event of events.filter(waits)) this.#giveBackLater(event, claim);
  }

  /** An operator sets an event that is being processed back to pending. */
  reset(event: ModelEvent): void {
    const { claim } = event;
    Object.assign(event, { status: 'pending', claim: null });
    this.#giveBackLater(event, claim);
  }

  delete(event: ModelEvent): void {
    this.events = this.events.filter((other) => other !== event);
  }

  #giveBackLater(event: ModelEvent, claim: string | null): void {
    for (const later of this.events)
      if (later.claim === claim && later.entity === event.entity && later.arrival > event.arrival)
        Object.assign(later, { status: 'pending', claim: null });
  }

  /** The waiting events of an entity, first come first. */
  #line(entity: string): ModelEvent[] {
    return this.events.filter((event) => event.entity === entity && waits(event)).sort(byArrival);
  }

  #isFree(entity: string): boolean {
    return this.events.every((event) => event.entity !== entity || event.status !== 'processing');
  }

  #urgentEntities(limit: number): Set<string> {
    const mayRun = (event: ModelEvent) =>
      waits(event) &&
      event.due &&
      this.#isFree(event.entity) &&
      this.#line(event.entity).every((other) => other.due || other.arrival > event.arrival);
    const head = this.events.filter(mayRun).sort((a, b) => a.priority - b.priority || byArrival(a, b));
    return new Set(head.slice(0, limit).map(({ entity }) => entity));
  }

  #suspectEntities(limit: number): Set<string> {
    const mayRun = (event: ModelEvent) =>
      waits(event) && event.suspect && this.#isFree(event.entity) && this.#line(event.entity)[0] === event;
    return new Set(
      this.events
        .filter(mayRun)
        .sort(byArrival)
        .slice(0, limit)
        .map(({ entity }) => entity),
    );
  }
}

export const waits = ({ status }: ModelEvent) => status === 'pending' || status === 'retry';
export const byArrival = (a: ModelEvent, b: ModelEvent) => a.arrival - b.arrival;

function endOne(event: ModelEvent, outcome: Outcome, delayed: boolean): void {
  Object.assign(event, { claim: null, suspect: false, due: !delayed });
  const charge = () => {
    event.attempts += 1;
    return event.attempts >= MAX_ATTEMPTS;
  };
  if (outcome.kind === 'succeeded')
    Object.assign(event, { status: 'completed', releases: 0, attempts: event.attempts + 1 });
  if (outcome.kind === 'unharmed') event.status = 'pending';
  if (outcome.kind === 'failed') {
    const dead = charge() || outcome.permanent;
    Object.assign(event, { status: dead ? 'dead_letter' : 'retry', releases: 0 });
  }
  if (outcome.kind === 'released') {
    const free = event.releases < MAX_FREE_RELEASES;
    const dead = !free && charge();
    Object.assign(event, { status: free ? 'pending' : dead ? 'dead_letter' : 'retry', releases: event.releases + 1 });
  }
  if (outcome.kind === 'crashed') {
    const dead = outcome.alone && charge();
    Object.assign(event, { status: dead ? 'dead_letter' : 'pending', suspect: !dead, due: false });
    if (dead) event.releases = 0;
  }
}

function takeWhile<T>(items: T[], test: (item: T) => boolean): T[] {
  const end = items.findIndex((item) => !test(item));
  return end === -1 ? items : items.slice(0, end);
}

import { matches } from './event-types.ts';
import type { Handler } from './handler.ts';

/** The handlers of this worker, and which of them an event concerns. */
export class Registry {
  readonly handlers: readonly Handler[];
  /** True when every handler takes sets: then nothing has to run one event at a time. */
  readonly allTakeSets: boolean;
  readonly anyLimited: boolean;
  readonly #byType = new Map<string, readonly Handler[]>();

  /** @throws Error when two handlers share a name: logs, rate limits and time-outs go by it */
  constructor(handlers: readonly Handler[]) {
    const twice = handlers.find(({ name }, index) => handlers.findIndex((other) => other.name === name) < index);
    if (twice) throw new Error(`two handlers are named ${twice.name}: rename one`);
    this.handlers = handlers;
    this.allTakeSets = handlers.every(takesSets);
    this.anyLimited = handlers.some((handler) => handler.rateLimit !== undefined);
  }

  /** In the order in which they run. */
  matching(eventType: string): readonly Handler[] {
    const known = this.#byType.get(eventType);
    if (known) return known;
    const matching = this.handlers.filter((handler) =>
      handler.eventTypes.some((pattern) => matches(pattern, eventType)),
    );
    this.#byType.set(eventType, matching);
    return matching;
  }

  takesSets(eventType: string): boolean {
    return this.matching(eventType).every(takesSets);
  }
}

const takesSets = (handler: Handler) => handler.handleBatch !== undefined;

import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Handler } from './handler.ts';

/** The handlers of this worker, and which of them an event concerns. */
export class Registry {
  readonly handlers: readonly Handler[];
  /** True when every handler takes sets: then nothing has to run one event at a time. */
  readonly allTakeSets: boolean;
  readonly anyLimited: boolean;
  readonly #byType = new Map<string, readonly Handler[]>();

  constructor(handlers: readonly Handler[]) {
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

function matches(pattern: string, eventType: string): boolean {
  if (pattern === '*') return true;
  return pattern.endsWith('.*') ? eventType.startsWith(pattern.slice(0, -1)) : pattern === eventType;
}

/**
 * Loads the user's handlers: every `.ts`, `.js` and `.mjs` file of the folder, in the order of their names.
 * @throws Error that names each file that is no handler and says what is wrong with it
 */
export async function loadHandlers(directory: string): Promise<Handler[]> {
  const files = (await readdir(directory))
    .filter((file) => /\.(ts|js|mjs)$/.test(file) && !file.endsWith('.d.ts'))
    .sort();
  const loaded = await Promise.allSettled(files.map((file) => loadHandler(path.resolve(directory, file))));
  const problems = loaded.flatMap((result) => (result.status === 'rejected' ? [String(result.reason.message)] : []));
  if (problems.length > 0) throw new Error(`HANDLERS_DIR: ${problems.join('; ')}`);
  return loaded.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

async function loadHandler(file: string): Promise<Handler> {
  const name = path.basename(file, path.extname(file));
  const module = await import(pathToFileURL(file).href).catch((error: Error) => {
    throw new Error(`${file} cannot be loaded: ${error.message}`);
  });
  const handler = module.default as Partial<Handler> | undefined;
  const problem = whatIsWrong(handler);
  if (problem) throw new Error(`${file} ${problem}`);
  return Object.assign(Object.create(handler as object), { name: handler?.name ?? name }) as Handler;
}

function whatIsWrong(handler: Partial<Handler> | undefined): string | undefined {
  if (typeof handler !== 'object' || handler === null) return 'has no default export with eventTypes and handle()';
  const { eventTypes, timeoutMs, rateLimit, handle, handleBatch } = handler;
  const isPattern = (type: unknown) => typeof type === 'string' && /^(\*|[\w-]+\.(\*|[\w-]+))$/.test(type);
  if (!Array.isArray(eventTypes) || eventTypes.length === 0 || !eventTypes.every(isPattern))
    return "needs eventTypes such as ['invoice.updated'], ['invoice.*'] or ['*']";
  if (typeof handle !== 'function' && typeof handleBatch !== 'function') return 'needs a function handle(event, ctx)';
  if (timeoutMs !== undefined && !(timeoutMs > 0)) return 'needs a timeoutMs above 0';
  if (rateLimit !== undefined && !(rateLimit?.max >= 1 && rateLimit.durationMs >= 1))
    return 'needs a rateLimit such as { max: 100, durationMs: 60_000 }';
  return undefined;
}

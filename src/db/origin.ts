/**
 * Whose statement failed. The same error means different things: a full disk that our own COMMIT meets is no fault of
 * the event, while a handler's statement that fails is the handler's failure, whatever code it carries.
 */
export type Origin = 'own' | 'handler';

const origins = new WeakMap<object, Origin>();

/** For `.catch()`: remembers that a statement of ours failed, and throws the error on. */
export function ownStatement(error: unknown): never {
  throw remember(error, 'own');
}

/** For `.catch()`: remembers that a statement of a handler failed, and throws the error on. */
export function handlerStatement(error: unknown): never {
  throw remember(error, 'handler');
}

/** Whose statement threw this error or one of its causes; undefined when no database statement did. */
export function originOf(error: unknown): Origin | undefined {
  for (let link = error, n = 0; typeof link === 'object' && link !== null && n < 5; link = causeOf(link), n += 1) {
    const origin = origins.get(link);
    if (origin) return origin;
  }
  return undefined;
}

function remember(error: unknown, origin: Origin): unknown {
  if (typeof error === 'object' && error !== null && !origins.has(error)) origins.set(error, origin);
  return error;
}

/** A thrown value may be anything, a proxy that throws included. */
function causeOf(error: object): unknown {
  try {
    return (error as { cause?: unknown }).cause;
  } catch {
    return undefined;
  }
}

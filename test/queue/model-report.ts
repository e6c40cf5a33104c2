import type fc from 'fast-check';

/** The error itself and the seed that repeats it; the steps are functions, whose texts would fill pages. */
export async function asyncReporter<Ts>({ failed, seed, errorInstance }: fc.RunDetails<Ts>): Promise<void> {
  if (failed) throw new Error(`seed ${seed}: ${(errorInstance as Error).message}`, { cause: errorInstance });
}

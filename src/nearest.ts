import { distance } from 'fastest-levenshtein';

/**
 * The candidate that a misspelt name most likely means: the one with the fewest letters to add, drop or change.
 * Undefined when none is near enough. Short candidates must match exactly: HOME is two letters from HOST.
 */
export function nearest(name: string, candidates: readonly string[], tolerance = lettersAllowed): string | undefined {
  const near = candidates
    .map((candidate) => ({ candidate, letters: distance(name, candidate) }))
    .filter(({ candidate, letters }) => letters <= tolerance(candidate))
    .sort((one, other) => one.letters - other.letters);
  return near[0]?.candidate;
}

function lettersAllowed({ length }: string): number {
  if (length >= 10) return 2;
  return length >= 8 ? 1 : 0;
}

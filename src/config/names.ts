import { nearest } from '../nearest.ts';

/**
 * Names in an environment that are no settings and yet seem to be meant as such: misspelt ones, and unknown ones that
 * begin with TDS_. A misspelt name would be ignored without a word, and a protection with it.
 */
export function unknownNames(env: NodeJS.ProcessEnv, known: readonly string[]): string[] {
  const strangers = Object.keys(env).filter((name) => !known.includes(name));
  return strangers.flatMap((name) => {
    const meant = nearest(name.toUpperCase(), known);
    if (meant) return [`${name} is not a setting; did you mean ${meant}? Rename or remove it.`];
    return name.startsWith('TDS_') ? [`${name} is not a setting: remove it.`] : [];
  });
}

/**
 * Part of `npm run check`: every regular expression in src/ takes linear time, whatever a sender puts before it. recheck
 * builds the automaton of each and tells its complexity, and for a vulnerable one an attack string, so that nothing
 * depends on the speed of a machine. Quadratic ones are refused as well: 16 kB of path are enough for 0.2 s.
 */
import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { parse, type Token } from 'acorn';

// Set before recheck is loaded: its other backends are a native program and a JVM.
process.env.RECHECK_BACKEND = 'pure';
const { checkSync } = await import('recheck');

type Found = { file: string; line: number; source: string; flags: string };

/**
 * What the automaton cannot judge (look-behind) is fuzzed. By default a match that takes long on the clock counts as an
 * attack, so that a busy machine finds faults where there are none: without these limits only steps count.
 */
const BY_STEPS = { timeout: null, attackTimeout: null, incubationTimeout: null, randomSeed: 1 };

async function main(): Promise<void> {
  const found: Found[] = [];
  for await (const file of glob('src/**/*.{ts,js}')) found.push(...literalsOf(file));
  const faults = found.flatMap(faultOf);
  for (const fault of faults) console.error(fault);
  console.log(`${found.length} regular expressions, ${faults.length} that may take more than linear time`);
  process.exitCode = found.length === 0 || faults.length > 0 ? 1 : 0;
}

/** The literals of a file, by a real parser: a division looks like one to anything less. */
function literalsOf(file: string): Found[] {
  const text = readFileSync(file, 'utf8');
  const code = file.endsWith('.ts') ? stripTypeScriptTypes(text, { mode: 'strip' }) : text;
  // acorn's types leave out what its tokens have.
  const tokens: (Token & { value?: unknown })[] = [];
  parse(code, { ecmaVersion: 'latest', sourceType: 'module', locations: true, onToken: tokens });
  return tokens.flatMap(({ value, loc }) =>
    isPattern(value) ? [{ file, line: loc?.start.line ?? 0, source: value.pattern, flags: value.flags }] : [],
  );
}

function isPattern(value: unknown): value is { pattern: string; flags: string } {
  return typeof value === 'object' && value !== null && 'pattern' in value && 'flags' in value;
}

function faultOf({ file, line, source, flags }: Found): string[] {
  const verdict = checkSync(source, flags, BY_STEPS);
  if (verdict.status === 'safe') return [];
  const attack = verdict.status === 'vulnerable' ? `, such as on ${verdict.attack.pattern.slice(0, 200)}` : '';
  return [
    `${file}:${line} /${source}/${flags} is ${(verdict.status === 'vulnerable' && verdict.complexity.summary) || verdict.status}${attack}`,
  ];
}

await main();

/**
 * `npm run test:mutations [-- --only word]`: who watches the watchmen? Removes one protection at a time from a copy of the source and
 * runs the fault, or test file, that watches over it. That must turn red; a protection whose text is no longer found is a failure
 * too, because then this proves nothing.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { MUTATIONS, type Mutation } from './mutants.ts';
import { PULL_MUTATIONS } from './pull-mutants.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const COPIED = ['src', 'migrations', 'test', 'package.json', 'tsconfig.json'];
/** A run that takes longer proves nothing. */
const LIMIT_MS = 900_000;

type Verdict = { mutation: Mutation; red: boolean; why: string };

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const chosen = [...MUTATIONS, ...PULL_MUTATIONS].filter(({ name }) => name.includes(values.only));
if (chosen.length === 0) throw new Error(`no mutation has "${values.only}" in its name`);
const verdicts = [proveHealthy(), ...chosen.map(judge)];
console.table(
  verdicts.map(({ mutation, red, why }) => ({
    mutation: mutation.name,
    fault: mutation.fault,
    found: why.slice(0, 100),
    verdict: red === mutation.expectRed ? 'as it must be' : 'WRONG',
  })),
);
process.exitCode = verdicts.every(({ mutation, red }) => red === mutation.expectRed) ? 0 : 1;

/** The unchanged copy must be green, or every mutant would be red for the wrong reason. */
function proveHealthy(): Verdict {
  return judge({ name: 'none', fault: 'F03', changes: [], expectRed: false });
}

function judge(mutation: Mutation): Verdict {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'tds-mutant-'));
  try {
    for (const name of COPIED) fs.cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true });
    fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
    const missing = mutate(copy, mutation);
    if (missing) return { mutation, red: !mutation.expectRed, why: `text not found: ${missing}` };
    const verdict = { mutation, ...runFault(copy, mutation) };
    console.log(`${mutation.name}: ${verdict.red ? 'red' : 'green'} (${verdict.why})`);
    return verdict;
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
}

/** Returns the text that is no longer there, if any. */
function mutate(copy: string, { changes }: Mutation): string | undefined {
  for (const { file, remove, insert = '' } of changes) {
    const source = fs.readFileSync(path.join(copy, file), 'utf8');
    if (!source.includes(remove)) return remove;
    const changed = source.replaceAll(remove, () => insert);
    fs.writeFileSync(path.join(copy, file), changed);
  }
  return undefined;
}

function runFault(
  copy: string,
  { fault, title = '', seeds = '1', expectRed }: Mutation,
): { red: boolean; why: string } {
  const rounds = ['test/faults/main.ts', '--only', fault, '--title', title, '--seed', seeds, '--stop-at-first-failure'];
  const args = fault.endsWith('.test.ts') ? [fault] : rounds;
  // tap's own default is too short for a busy machine.
  const env = { ...process.env, TAP_TIMEOUT: '300' };
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8', timeout: LIMIT_MS, env });
  const failure = stdout?.split('\n').findLast((line) => / seed |^not ok/.test(line));
  // Whatever ended without naming what failed was not ended by the mutant.
  const noVerdict = status === null || (status !== 0 && failure === undefined);
  return noVerdict ? { red: !expectRed, why: 'no verdict' } : { red: status !== 0, why: failure ?? '' };
}

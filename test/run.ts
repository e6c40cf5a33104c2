/**
 * `npm test [files]`: runs tap, shows its output, names what was skipped and what failed, and ends with one honest line
 * "N passed, N failed[, N skipped]" taken from tap's own totals. Code 0 only when something was tested and nothing failed.
 */
import { spawn } from 'node:child_process';
import { failuresOf } from './failures.ts';
import './tap-build.ts';
import { embeddedTestServer } from './template.ts';

type Ending = { code: number | null; signal: NodeJS.Signals | null; output: string };

const REPORTER = ['--reporter=tap', '--no-color'];

function runTap(args: string[]): Promise<Ending> {
  const tap = spawn(process.execPath, ['node_modules/tap/dist/esm/run.mjs', ...REPORTER, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  tap.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    process.stdout.write(chunk);
    output += chunk;
  });
  return new Promise((resolve) => tap.on('close', (code, signal) => resolve({ code, signal, output })));
}

/** Reads "# { total: 3, pass: 2, fail: 1 }", tap's last word. */
function readTotals(output: string): (name: string) => number {
  const line = [...output.matchAll(/^# \{ total: \d+.*\}$/gm)].at(-1)?.[0] ?? '';
  return (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(line)?.[1] ?? 0);
}

function printSkipped(output: string): void {
  for (const [, name, why] of output.matchAll(/^\s*ok \d+ - (.*?) # SKIP ?(.*)$/gm))
    console.log(`SKIPPED ${name}${why ? `: ${why}` : ''}`);
}

function summarise({ code, signal, output }: Ending): number {
  const total = readTotals(output);
  printSkipped(output);
  for (const failure of failuresOf(output)) console.log(`FAILED ${failure}`);
  let failed = total('fail');
  if (failed === 0 && (code !== 0 || signal || total('total') === 0)) {
    failed = 1;
    console.log(`tap ended with ${signal ?? `code ${code}`} but without a failed assertion: a bail-out, or no tests`);
  }
  const skipped = total('skip') + total('todo');
  console.log(`${total('pass')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failed;
}

// Held during the whole run, so that the server is not stopped and started between two test files.
const server = process.env.DATABASE_URL ? undefined : await embeddedTestServer();
const ending = await runTap(process.argv.slice(2));
await server?.stop();
process.exitCode = summarise(ending) > 0 ? 1 : 0;

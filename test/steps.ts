/**
 * How much work a piece of code does, in steps instead of seconds: V8 counts how often each block of src/ runs, the same
 * on every machine. It does not look into regular expressions, of which test/regular-expressions.ts shows that they are
 * linear.
 */
import { spawnSync } from 'node:child_process';
import { Session } from 'node:inspector';

/** Work by name; each is given a size and prepares a run. */
export type Works = Record<string, (size: number) => () => unknown>;

type Coverage = { result: { url: string; functions: { ranges: { count: number }[] }[] }[] };

/** Counts in a process of its own: blocks are counted only in what is compiled after the counting has begun. */
export function stepsOf(file: URL, sizes: number[]): Record<string, number[]> {
  const flags = ['--no-opt', '--no-maglev', '--no-sparkplug'];
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [...flags, import.meta.filename, file.href, ...sizes.map(String)],
    { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  if (status !== 0) throw new Error(`counting steps failed: ${stderr}`);
  return JSON.parse(stdout);
}

async function main(file: string, sizes: number[]): Promise<void> {
  const session = new Session();
  session.connect();
  call(session, 'Profiler.enable');
  call(session, 'Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const { works } = (await import(file)) as { works: Works };
  const counted = Object.entries(works).map(([name, prepare]) => {
    const runs = sizes.map(prepare);
    runs[0]?.(); // compiles it
    return [name, runs.map((run) => count(session, run))];
  });
  process.stdout.write(JSON.stringify(Object.fromEntries(counted)));
}

function count(session: Session, work: () => unknown): number {
  call(session, 'Profiler.takePreciseCoverage'); // what came before does not count
  work();
  const { result } = call<Coverage>(session, 'Profiler.takePreciseCoverage');
  const ours = result.filter(({ url }) => url.includes('/src/'));
  const ranges = ours.flatMap(({ functions }) => functions.flatMap((one) => one.ranges));
  return ranges.reduce((sum, range) => sum + range.count, 0);
}

/** An inspector of the same thread answers before `post` returns. */
function call<T>(session: Session, method: string, parameters: object = {}): T {
  let answer: T | undefined;
  let failure: Error | null = null;
  const post = session.post.bind(session) as unknown as (
    method: string,
    parameters: object,
    then: (error: Error | null, value?: object) => void,
  ) => void;
  post(method, parameters, (error, value) => {
    failure = error;
    answer = value as T;
  });
  if (failure) throw failure;
  if (answer === undefined) throw new Error(`${method} gave no answer at once`);
  return answer;
}

const [file, ...sizes] = process.argv.slice(2);
if (import.meta.main && file) await main(file, sizes.map(Number));

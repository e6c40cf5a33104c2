import inspector from 'node:inspector';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkInHand } from '../in-hand.ts';

/** The symbol of the global function by which the main thread tells its work in hand. */
export const IN_HAND_KEY = 'tds-core.work-in-hand';

export type Answer = {
  /** Null: our own code is running, no handler's. */
  work: WorkInHand | null;
  /** What is running, innermost first: 'function (file:line:column)'. */
  stack: string[];
};

type Frame = inspector.Debugger.CallFrame;

const MAX_FRAMES = 10;
const MAX_FRAME_LENGTH = 300;

/**
 * Asks the blocked main thread whose code it is running. V8's debugger can interrupt an endless loop, a regular
 * expression and Atomics.wait(), and the asynchronous context is still that of the handler; it cannot interrupt a call
 * into C++ such as execSync() or readFileSync() of a pipe. Undefined when there is no answer within `timeoutMs`.
 * The main thread goes on afterwards.
 */
export async function askMainThread(timeoutMs: number): Promise<Answer | undefined> {
  const session = new inspector.Session();
  const timedOut = new AbortController();
  try {
    session.connectToMainThread();
    const answered = question(session);
    answered.catch(() => {}); // it may fail after the time-out
    return await Promise.race([answered, sleep(timeoutMs, undefined, { signal: timedOut.signal })]);
  } catch {
    return undefined; // a Node without inspector
  } finally {
    timedOut.abort();
    session.disconnect(); // also resumes the main thread
  }
}

async function question(session: inspector.Session): Promise<Answer> {
  const urls = new Map<string, string>();
  session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url));
  const paused = new Promise<Frame[]>((resolve) =>
    session.once('Debugger.paused', ({ params }) => resolve(params.callFrames)),
  );
  session.post('Debugger.enable');
  session.post('Debugger.pause');
  const frames = await paused;
  const stack = frames.slice(0, MAX_FRAMES).map((frame) => describe(frame, urls.get(frame.location.scriptId)));
  return { work: await workOf(session), stack };
}

/** Asked in the global scope, not in a frame: code of Node or of node:vm does not see our globals. */
function workOf(session: inspector.Session): Promise<WorkInHand | null> {
  const expression = `globalThis[Symbol.for('${IN_HAND_KEY}')]()`;
  return new Promise((resolve, reject) => {
    session.post('Runtime.evaluate', { expression, returnByValue: true }, (error, answer) => {
      if (error || answer.exceptionDetails) reject(error ?? new Error('the question failed'));
      else resolve(answer.result.value as WorkInHand | null);
    });
  });
}

function describe({ functionName, location }: Frame, url = ''): string {
  const at = `${url}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
  return `${functionName || '(anonymous)'} (${at})`.slice(0, MAX_FRAME_LENGTH);
}

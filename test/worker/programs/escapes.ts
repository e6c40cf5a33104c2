/**
 * A worker reduced to its containment: twenty handlers, each of which lets an error escape in a way of its own, then one
 * that does its work. Says in JSON how the attempts ended.
 */
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../../../src/log.ts';
import { Containment, containErrors, outsideHandlers } from '../../../src/worker/containment.ts';

const log = createLogger('tds-core-worker');
containErrors(log);

const interrupt = new AbortController();
const oops = (): never => {
  throw new Error('escaped');
};
const rejectLater = async (ms: number) => {
  await sleep(ms);
  oops();
};

const ways: Record<string, (signal: AbortSignal) => unknown> = {
  'a promise nobody awaits': () => void Promise.reject(new Error('escaped')),
  'an async function nobody awaits': () => void rejectLater(1),
  'a chain nobody awaits': () => void sleep(1).then(oops),
  'a promise that fails before it is awaited': async () => {
    const early = rejectLater(1);
    await sleep(50);
    await early;
  },
  'several at once': () => void [rejectLater(1), rejectLater(1), rejectLater(1)],
  'a fetch nobody awaits': () => void fetch('http://127.0.0.1:1/'),
  'a file nobody awaits': () => void fs.promises.readFile('/nowhere'),
  'a dynamic import nobody awaits': () => void import(`/nowhere/${Date.now()}.ts`),
  'Promise.all nobody awaits': () => void Promise.all([rejectLater(1), rejectLater(2)]),
  'an async listener': () => void new EventEmitter().on('go', () => rejectLater(1)).emit('go'),
  'a timer': () => void setTimeout(oops, 1),
  'an interval': () => {
    const interval = setInterval(oops, 1);
    setTimeout(() => clearInterval(interval), 30);
  },
  'an immediate': () => void setImmediate(oops),
  'a tick': () => process.nextTick(oops),
  'a microtask': () => queueMicrotask(oops),
  'a callback of a file': () => fs.stat('/', oops),
  'an emitter without a listener for errors': () =>
    void setTimeout(() => new EventEmitter().emit('error', new Error('escaped')), 1),
  'a socket without a listener for errors': () => void net.connect(1, '127.0.0.1'),
  'a value that is no error': () => void Promise.reject(null),
  'a listener of its signal': (signal) => {
    signal.addEventListener('abort', oops);
    outsideHandlers(() => setTimeout(() => interrupt.abort(new Error('interrupted')), 1));
  },
};

const work = (handler: string) => ({ handler, events: [{ id: handler, eventType: 'invoice.updated' }] });

/** How an attempt ends whose handler waits long enough for its error to escape. */
async function attempt(way: string, goWrong: (signal: AbortSignal) => unknown): Promise<string> {
  const handle = async (signal: AbortSignal) => {
    await goWrong(signal);
    await sleep(10_000);
  };
  const running = new Containment().run(work(way), interrupt.signal, handle);
  return running.then(
    () => 'succeeded',
    (error) => String(error?.message ?? error),
  );
}

const attempts: Record<string, string> = {};
for (const [way, goWrong] of Object.entries(ways)) attempts[way] = await attempt(way, goWrong);

const unawaited = new Containment();
await unawaited.run(work('returns at once'), interrupt.signal, () => void rejectLater(0));
await sleep(50);
let beforeCommit = 'nothing';
try {
  unawaited.throwEscaped();
} catch (error) {
  beforeCommit = String(error);
}

const healthy = await new Containment().run(work('healthy'), new AbortController().signal, () => 'done');
console.log(JSON.stringify({ level: 'result', attempts, beforeCommit, healthy }));
process.exit(0);

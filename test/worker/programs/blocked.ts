/**
 * A worker reduced to its watchdog and to handlers that block the event loop in the way argv[2] names. argv[3] is a
 * tds_workers.worker_id, argv[4] the database that has it, argv[5] the limit in seconds.
 * Only C++ may leave the question unanswered, however slow the machine is.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { createLogger } from '../../../src/log.ts';
import { Containment } from '../../../src/worker/containment.ts';
import { IN_HAND_KEY } from '../../../src/worker/watchdog/ask-main-thread.ts';
import { watchdog } from '../../../src/worker/watchdog.ts';

const [, , way = '', workerId = '', databaseUrl = '', seconds = '1'] = process.argv;
const event = (n: number) => ({ id: `00000000-0000-4000-8000-00000000000${n}`, eventType: 'invoice.updated' });
const never = new AbortController().signal;
const forever = () => {
  for (;;);
};
const run = (handler: string, events: number[], handle: () => Promise<void> | void) =>
  new Containment().run({ handler, events: events.map(event) }, never, handle);
const idle = (handler: string, n: number) => run(handler, [n], () => sleep(60_000));

const ways: Record<string, () => unknown> = {
  'at once': () => run('loops', [1], forever),
  async 'after an await, entered before others'() {
    idle('idle', 2);
    run('loops', [1], async () => {
      await sleep(50);
      forever();
    });
    idle('idle', 3);
  },
  'in a microtask loop': () =>
    run('loops', [1], async () => {
      for (;;) await null;
    }),
  'in a regular expression': () =>
    run('loops', [1], async () => {
      await sleep(1);
      /^(a+)+$/.test(`${'a'.repeat(60)}b`);
    }),
  'in Atomics.wait': () =>
    run('loops', [1], async () => {
      await sleep(1);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    }),
  'in a context of node:vm': () => run('loops', [1], () => runInNewContext('for (;;);')),
  'in C++ at once': () => {
    idle('idle', 2);
    run('loops', [1], () => void execFileSync('sleep', ['60']));
  },
  'in C++ after an await': () => {
    idle('idle', 2);
    run('loops', [1], async () => {
      await sleep(50);
      execFileSync('sleep', ['60']);
    });
  },
  'with a set': () => run('loops', [1, 2, 3], forever),
  'outside of handlers': () => {
    idle('idle', 2);
    setTimeout(forever, 10);
  },
  'in a timer left behind': async () => {
    await run('loops', [1], () => void setTimeout(forever, 50));
  },
  'until it is asked': () => {
    const symbol = Symbol.for(IN_HAND_KEY);
    const globals = globalThis as unknown as Record<symbol, () => unknown>;
    const answer = globals[symbol];
    let asked = false;
    globals[symbol] = () => {
      asked = true;
      return answer?.();
    };
    run('slow', [1], () => {
      while (!asked) performance.now(); // an empty loop would be compiled to one that reads `asked` once
    });
    setInterval(() => console.log('alive'), 100);
  },
  /** Not blocked at all. Counts aloud, so that a test can see that it lives. */
  never: () => setInterval(() => console.log('alive'), 100),
};

const log = createLogger('tds-core-worker', 'info', { journald: true });
const answerMs = way.startsWith('in C++') ? 500 : 60_000;
watchdog({
  seconds: Number(seconds),
  answerMs,
  workerId,
  databaseUrl,
  journald: true,
  env: process.env,
  log,
}).start?.();
setTimeout(() => ways[way]?.(), 200);
setInterval(() => {}, 1000);

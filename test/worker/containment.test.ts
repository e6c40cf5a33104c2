import t from 'tap';
import { Containment } from '../../src/worker/containment.ts';
import { inHand } from '../../src/worker/in-hand.ts';
import { type Program, runProgram } from './program.ts';

const never = new AbortController().signal;
const work = { handler: 'h', events: [{ id: 'e', eventType: 'invoice.updated' }] };

/** What a program printed about itself. */
function resultOf(program: Program): Record<string, unknown> {
  return program.lines().find(({ level }) => level === 'result') as unknown as Record<string, unknown>;
}

t.test(
  'errors that escape twenty handlers fail their attempts, are logged once each, and the process goes on',
  async (t) => {
    const program = runProgram(t, 'escapes.ts');
    t.match(await program.ended, { code: 0 });
    const { attempts, beforeCommit, healthy } = resultOf(program) as {
      attempts: Record<string, string>;
      beforeCommit: string;
      healthy: string;
    };
    t.equal(Object.keys(attempts).length, 20);
    for (const [way, end] of Object.entries(attempts))
      t.match(end, /escaped|fetch failed|ENOENT|ECONNREFUSED|nowhere|null/, way);
    t.equal(beforeCommit, 'Error: escaped', 'what escapes after the handler returned is known before COMMIT');
    t.equal(healthy, 'done');
    const lines = program.lines().filter(({ message }) => message === 'an error escaped from a handler');
    t.strictSame(
      lines.map(({ metadata }) => metadata.event_id),
      [...Object.keys(attempts), 'returns at once'],
    );
    t.match(lines[0], {
      level: 'error',
      metadata: { event_type: 'invoice.updated', causes: [{ message: 'escaped' }] },
    });
  },
);

t.test('an error that no handler is to blame for ends the process', async (t) => {
  const program = runProgram(t, 'unknown-error.ts');
  t.match(await program.ended, { code: 1 });
  t.match(program.lines().at(-1), { level: 'fatal', metadata: { error: { message: 'ours' } } });
});

t.test('a handler cannot end the process and is told what to do instead, while we still can', async (t) => {
  const program = runProgram(t, 'exits.ts');
  t.match(await program.ended, { code: 3 });
  const { told } = resultOf(program) as { told: Record<string, string> };
  t.equal(Object.keys(told).length, 7);
  t.match(told['an imported exit'], 'process.exit()', 'it is refused before it has told anybody of the exit');
  for (const [way, message] of Object.entries(told)) {
    t.match(message, /^handler ends called process\.\w+\(\), which would end the worker.*throw an error/, way);
  }
});

t.test('what a handler returns and throws passes through', async (t) => {
  t.equal(await new Containment().run(work, never, () => 1), 1);
  t.equal(await new Containment().run(work, never, async () => 2), 2);
  const failure = new Error('thrown');
  const thrown = new Containment().run(work, never, () => {
    throw failure;
  });
  await t.rejects(thrown, failure);
});

t.test('the signal of a handler aborts with the one that is given, even if that has happened', async (t) => {
  const controller = new AbortController();
  const wait = (signal: AbortSignal) =>
    new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));
  const running = new Containment().run(work, controller.signal, wait);
  controller.abort('time is up');
  t.equal(await running, 'time is up');
  t.equal(await new Containment().run(work, controller.signal, (signal) => signal.reason), 'time is up');
});

t.test('a handler is in hand until it is done, and not longer', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const running = new Containment().run(work, never, () => promise);
  t.match(inHand.all(), { listed: [{ handler: 'h', eventId: 'e', eventType: 'invoice.updated', events: 1 }] });
  t.equal(inHand.running(), undefined, 'its synchronous beginning is over');
  resolve();
  await running;
  t.strictSame(inHand.all(), { listed: [], unlisted: 0 });
  await new Containment().run(work, never, () => t.match(inHand.running(), { handler: 'h' }));
});

import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { InHand } from '../../src/worker/in-hand.ts';
import { Stall } from '../../src/worker/watchdog/stall.ts';
import { culpritOf, suspect } from '../../src/worker/watchdog/suspect.ts';
import { defaultWatchdogSeconds } from '../../src/worker/watchdog.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { type Line, type Program, runProgram } from './program.ts';

const FIRST = '00000000-0000-4000-8000-000000000001';
const NOBODY = 'postgresql://127.0.0.1:1/nobody';
const event = { id: FIRST, eventType: 'invoice.updated' };

const fatal = (program: Program): Line | undefined => program.lines().find(({ level }) => level === 'fatal');

/** Runs a program that blocks its loop in this way, until the watchdog ends it. */
async function blocked(t: Test, way: string, workerId = '', url = NOBODY): Promise<Line | undefined> {
  const program = runProgram(t, 'blocked.ts', [way, workerId, url]);
  t.match(await program.ended, { signal: 'SIGKILL' });
  return fatal(program);
}

t.test('a handler that blocks the loop is named with its event, and the process ends', async (t) => {
  t.jobs = 2;
  for (const way of [
    'at once',
    'after an await, entered before others',
    'in a microtask loop',
    'in a regular expression',
    'in Atomics.wait',
    'in a context of node:vm',
    'in a timer left behind',
  ]) {
    t.test(way, { buffered: true }, async (t) => {
      const line = await blocked(t, way);
      t.match(line?.metadata, { handler: 'loops', event_id: FIRST, event_type: 'invoice.updated', events: 1 });
      t.match(String(line?.metadata.stack), /programs\/blocked\.ts:\d+:\d+/, 'the line of the handler');
    });
  }
});

t.test('a handler that blocks in C++ at its beginning is named without the debugger', async (t) => {
  const line = await blocked(t, 'in C++ at once');
  t.match(line?.metadata, { handler: 'loops', event_id: FIRST });
});

t.test('where it cannot be known which handler blocks in C++, all of them are named', async (t) => {
  const line = await blocked(t, 'in C++ after an await');
  const handlers = (line?.metadata.one_of as { handler: string }[]).map(({ handler }) => handler);
  t.strictSame(handlers.sort(), ['idle', 'loops']);
});

t.test('code of ours that blocks is not laid to a handler', async (t) => {
  const line = await blocked(t, 'outside of handlers');
  t.match(line?.metadata, { handler: null });
});

t.test('a process that was stopped longer than the limit goes on', async (t) => {
  const program = runProgram(t, 'blocked.ts', ['never', '', NOBODY]);
  const alive = () => program.output().split('alive').length;
  await waitFor('it to work', () => alive() > 5);
  process.kill(program.pid, 'SIGSTOP');
  const stoppedAt = performance.now();
  // The limit is 1 s: it is not the test that is timed but the process that is to have been away for long enough.
  await waitFor('the time to pass', () => performance.now() - stoppedAt > 3000);
  const before = alive();
  process.kill(program.pid, 'SIGCONT');
  await waitFor('it to work for longer than the limit', () => alive() > before + 20);
  t.equal(fatal(program), undefined);
});

t.test('a loop that turns again before the end is left alone, and who blocked it is told', async (t) => {
  const program = runProgram(t, 'blocked.ts', ['until it is asked', '', NOBODY]);
  await waitFor('it to work for longer than the limit', () => program.output().split('alive').length > 20);
  t.equal(fatal(program), undefined);
  const warning = program.lines().find(({ message }) => message === 'the event loop was blocked');
  t.match(warning?.metadata, { handler: 'slow', event_id: FIRST });
});

t.test('a database that does not answer neither saves the process nor hides the line', async (t) => {
  const program = runProgram(t, 'blocked.ts', ['at once', '', NOBODY]);
  await program.ended;
  t.match(program.output(), /^<2>\{"level":"fatal",.*"service":"tds-core-worker","component":"watchdog"/m);
  t.same(
    program.lines().map(({ message }) => message),
    ['the event loop is blocked: ending the process', 'the culprit could not be recorded'],
  );
});

t.test('the death is recorded at once, for whoever takes the events over', async (t) => {
  const { url, pool } = await testDatabase(t);
  await pool.query('alter table tds_workers add column if not exists culprit uuid');

  const death = async (way: string) => {
    const id = randomUUID();
    await pool.query(
      `insert into tds_workers (worker_id, host, pid, expires_at, concurrency)
       values ($1, 'test', 1, now() + interval '1 hour', 1)`,
      [id],
    );
    await blocked(t, way, id, url);
    const { rows } = await pool.query(
      'select culprit, expires_at <= statement_timestamp() as over from tds_workers where worker_id = $1',
      [id],
    );
    return rows[0];
  };

  t.strictSame(await death('after an await, entered before others'), { culprit: FIRST, over: true });
  t.strictSame(await death('with a set'), { culprit: null, over: true }, 'none of several is charged on suspicion');
  t.strictSame(await death('in C++ after an await'), { culprit: null, over: true }, 'nor of several handlers');
});

t.test('memory beyond its slots only counts, and finds room again', async (t) => {
  const memory = new InHand();
  const slots = Array.from({ length: 300 }, (_, n) => memory.enter({ handler: `handler ${n}`, events: [event] }));
  t.match(new InHand(memory.buffer).all(), { unlisted: 44, listed: { length: 256 } });
  for (const slot of slots) memory.leave(slot);
  t.strictSame(memory.all(), { listed: [], unlisted: 0 });
  memory.enter({ handler: 'ä'.repeat(400), events: [{ id: FIRST, eventType: 'a\nb' }] });
  const [work] = memory.all().listed;
  t.match(work, { eventId: FIRST, eventType: 'a b', handler: /^ä+$/ }, 'names are cut between characters');
});

t.test('with one handler in hand there is no doubt, with two there is', async (t) => {
  const memory = new InHand();
  memory.enter({ handler: 'one', events: [event] });
  t.equal(culpritOf(suspect(memory, undefined)), FIRST);
  memory.enter({ handler: 'two', events: [event] });
  t.equal(culpritOf(suspect(memory, undefined)), null);
  t.equal(culpritOf(suspect(memory, { work: null, stack: [] })), null, 'our own code is nobody in particular');
});

t.test('only the time in which both could have run counts as a stall', async (t) => {
  const stall = new Stall(250);
  stall.look(1, 0);
  t.equal(stall.look(1, 250), 250);
  t.equal(stall.look(1, 10_000), 750, 'the watchdog was away as well');
  t.equal(stall.look(1, 10_250), 1000);
  t.equal(stall.look(2, 10_500), 0, 'the loop turns');
});

t.test('the default leaves time to record the culprit before the lease can end', async (t) => {
  t.equal(defaultWatchdogSeconds(30), 15);
  t.equal(defaultWatchdogSeconds(1), 2);
  t.equal(defaultWatchdogSeconds(3600), 30);
});

/** Puts a program in the place of systemd-notify that writes down what it is told. */
function systemd(t: Test): { env: NodeJS.ProcessEnv; pings: () => number } {
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'tds-notify-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true }));
  const told = path.join(folder, 'told');
  fs.writeFileSync(path.join(folder, 'systemd-notify'), `#!/bin/sh\necho "$1" >> '${told}'\n`, { mode: 0o755 });
  fs.writeFileSync(told, '');
  const env = { PATH: `${folder}:${process.env.PATH}`, NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '300000' };
  return { env, pings: () => fs.readFileSync(told, 'utf8').split('WATCHDOG=1').length - 1 };
}

t.test('systemd is told that the loop turns', async (t) => {
  const { env, pings } = systemd(t);
  runProgram(t, 'blocked.ts', ['never', '', NOBODY], env);
  await waitFor('several pings', () => pings() > 4);
});

t.test('systemd is told no longer when the loop stands still', async (t) => {
  const { env, pings } = systemd(t);
  runProgram(t, 'blocked.ts', ['at once', '', NOBODY, '3600'], env);
  await waitFor('a ping', () => pings() > 0);
  let last = { count: 0, at: 0 };
  await waitFor('two seconds without one', () => {
    if (pings() > last.count) last = { count: pings(), at: performance.now() };
    return performance.now() - last.at > 2000;
  });
});

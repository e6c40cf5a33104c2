import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { createLogger, type Logger, type LogOptions } from '../src/log.ts';
import { waitFor } from './helper.ts';

/** Writes with a logger to a file and returns the lines. */
function written(write: (log: Logger) => void, options: LogOptions & { level?: string } = {}): string[] {
  const file = path.join(t.testdir(), 'log');
  write(createLogger('tds-core-api', options.level, { ...options, fd: openSync(file, 'a') }));
  return readFileSync(file, 'utf8').split('\n').slice(0, -1);
}

function entries(write: (log: Logger) => void) {
  return written(write, { journald: false }).map((line) => JSON.parse(line));
}

/** Runs a script that has `log`, in a process of its own. */
function runScript(body: string): ChildProcess {
  const module = path.join(import.meta.dirname, '../src/log.ts');
  const script = `import { createLogger, exitOnFatalErrors } from ${JSON.stringify(module)};
    import { droppedLogLines } from ${JSON.stringify(module.replace('log.ts', 'log-writer.ts'))};
    const log = createLogger('tds-core-api'); ${body}`;
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

t.test('a line has the fixed fields, with everything else under metadata', async (t) => {
  const [entry] = entries((log) => log.info({ component: 'inbox', bytes: 12 }, 'webhook accepted'));
  t.match(entry.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  t.strictSame(
    { ...entry, timestamp: '' },
    {
      timestamp: '',
      level: 'info',
      service: 'tds-core-api',
      component: 'inbox',
      message: 'webhook accepted',
      metadata: { bytes: 12 },
    },
  );
});

t.test('what a child logger was given appears under metadata of each of its lines', async (t) => {
  const [first, second] = entries((log) => {
    const child = log.child({ component: 'http', request_id: 'r1' });
    child.info({ bytes: 1 }, 'a');
    child.child({ event_id: 'e1' }).info('b');
  });
  t.match(first, { component: 'http', metadata: { request_id: 'r1', bytes: 1 } });
  t.match(second, { component: 'http', metadata: { request_id: 'r1', event_id: 'e1' } });
});

t.test('secrets are hidden wherever they stand', async (t) => {
  const canary = 'canary-4711';
  const metadata = {
    authorization: `Bearer ${canary}`,
    headers: { Cookie: canary, 'x-zoho-webhook-signature': canary, 'Set-Cookie': [canary] },
    deep: [{ refreshToken: canary, password: { old: canary } }],
    url: `postgresql://tds:${canary}@db/tds`,
    has_token: true,
  };
  const [line = ''] = written((log) => log.info(metadata, 'x'), { journald: false });
  t.notMatch(line, /canary/);
  t.match(JSON.parse(line).metadata, { has_token: true, url: 'postgresql://[redacted]@db/tds' });
});

t.test('an error keeps its code and stack and loses what quotes rows', async (t) => {
  const error = Object.assign(new Error('duplicate key'), {
    code: '23505',
    constraint: 'books_pkey',
    detail: 'Key (id)=(canary) already exists',
    where: 'canary',
    internalQuery: 'canary',
    cause: new Error('inner'),
  });
  const [line = ''] = written((log) => log.error({ component: 'x', error }, 'failed'), { journald: false });
  t.notMatch(line, /canary/);
  t.match(JSON.parse(line).metadata.error, {
    type: 'Error',
    message: 'duplicate key',
    code: '23505',
    constraint: 'books_pkey',
    stack: /log\.test/,
    cause: { message: 'inner' },
  });
});

t.test('no value breaks a line', async (t) => {
  const loop: Record<string, unknown> = { big: 10n, when: new Date(Number.NaN), bytes: Buffer.alloc(3) };
  loop.self = loop;
  Object.defineProperty(loop, 'trap', {
    enumerable: true,
    get() {
      throw new Error('trap');
    },
  });
  const [entry] = entries((log) => log.info({ loop }, 'x'));
  t.match(entry.metadata.loop, { big: '10', when: null, bytes: '[3 bytes]', self: '[circular]', trap: '[unreadable]' });
});

t.test('a long line is cut to 32 kB and stays JSON with its fields', async (t) => {
  const items = Array.from({ length: 50 }, () => '\u0001"é😀'.repeat(1000));
  const [line = ''] = written((log) => log.warn({ component: 'big', items }, `long ${'\u0002'.repeat(9000)}`), {
    journald: false,
  });
  t.ok(Buffer.byteLength(line) <= 32 * 1024);
  t.match(JSON.parse(line), { level: 'warn', component: 'big', message: /^long/, metadata: { truncated: true } });
});

t.test('journald is told the priority at the start of each line', async (t) => {
  const lines = written(
    (log) => {
      for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) log[level]('x');
    },
    { level: 'debug', journald: true },
  );
  t.strictSame(
    lines.map((line) => line.slice(0, 4)),
    ['<7>{', '<6>{', '<4>{', '<3>{', '<2>{'],
  );
});

t.test('an uncaught error is the last line, at level fatal, and ends the process with 1', async (t) => {
  for (const fault of ['throw new Error("boom")', 'Promise.reject(new Error("boom"))']) {
    const child = runScript(`exitOnFatalErrors(log); setTimeout(() => { ${fault} }, 1);`);
    const closed = once(child, 'close');
    const lines = (await text(child.stdout as NodeJS.ReadableStream)).trim().split('\n');
    t.equal((await closed)[0], 1);
    t.match(JSON.parse(lines.at(-1) ?? ''), { level: 'fatal', metadata: { error: { message: 'boom' } } });
  }
});

t.test('a log that nobody reads does not stop the process; what is lost is counted', async (t) => {
  const child = runScript(`
    for (let n = 0; n < 500; n++) log.info({ fill: 'x'.repeat(7000) }, 'filler');
    process.stderr.write('alive ' + droppedLogLines());
    setTimeout(() => {}, 60_000);`);
  t.teardown(() => child.kill('SIGKILL'));
  let told = '';
  child.stderr?.on('data', (chunk) => {
    told += chunk;
  });
  await waitFor('the process to get past its log', () => told.startsWith('alive'));
  const dropped = Number(told.slice('alive '.length));
  t.ok(dropped > 0, `${dropped} lines dropped`);
  let seen = '';
  child.stdout?.on('data', (chunk) => {
    seen += chunk;
  });
  await waitFor('the report of dropped lines', () => seen.includes('log lines dropped'));
  const report = JSON.parse(seen.trim().split('\n').at(-1) ?? '');
  t.equal(report.metadata.dropped, dropped);
  t.equal(seen.trim().split('\n').length, 500 - dropped + 1, 'every other line arrived whole');
});

import t from 'tap';
import { OutageLog } from '../src/outage-log.ts';

/** An outage log whose clock is set by hand, and the lines it has written. */
function startLog(level?: 'warn') {
  const lines: { level: string; message: string; fields: Record<string, unknown> }[] = [];
  const write = (name: string) => (fields: object, message: string) =>
    lines.push({ level: name, message, fields: { ...fields } });
  const log = { error: write('error'), warn: write('warn'), info: write('info') };
  const clock = { ms: Date.parse('2026-01-15T10:00:00Z') };
  const outage = new OutageLog('database', log as never, { ...(level ? { level } : {}), now: () => clock.ms });
  return { outage, lines, clock };
}

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });

t.test('a stream of failures becomes one line, one a minute, and one when it is over', async (t) => {
  const { outage, lines, clock } = startLog();
  outage.recovered();
  for (let second = 0; second < 130; second += 1) {
    for (let caller = 0; caller < 10; caller += 1) outage.failed(refused);
    clock.ms += 1000;
  }
  t.equal(outage.away, true);
  for (let caller = 0; caller < 10; caller += 1) outage.recovered();
  t.equal(outage.away, false);
  const since = '2026-01-15T10:00:00.000Z';
  const reason = refused.message;
  t.same(lines, [
    { level: 'error', message: 'database away', fields: { component: 'database', since, reason } },
    {
      level: 'error',
      message: 'database still away',
      fields: { component: 'database', since, reason, failures: 601 },
    },
    {
      level: 'error',
      message: 'database still away',
      fields: { component: 'database', since, reason, failures: 1201 },
    },
    { level: 'info', message: 'database back', fields: { component: 'database', after_seconds: 130, failures: 1300 } },
  ]);
});

t.test('the next outage begins anew', async (t) => {
  const { outage, lines, clock } = startLog('warn');
  outage.failed(refused);
  outage.recovered();
  clock.ms += 5000;
  outage.failed(refused);
  t.match(lines.at(-1), { level: 'warn', message: 'database away', fields: { since: '2026-01-15T10:00:05.000Z' } });
});

t.test('anything thrown has a reason, of bounded length and without a stack', async (t) => {
  for (const [thrown, reason] of [
    [null, 'unknown'],
    [{ code: '57P03' }, '57P03'],
    [new AggregateError([refused]), 'unknown'],
    [Object.assign(new AggregateError([refused]), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [new Error('x'.repeat(1000)), 'x'.repeat(300)],
  ] as const) {
    const { outage, lines } = startLog();
    outage.failed(thrown);
    t.equal(lines[0]?.fields.reason, reason);
  }
});

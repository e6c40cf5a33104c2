/** What the command line does with dead letters, one or many. */
import path from 'node:path';
import t from 'tap';
import { addDeadLetter } from '../api/client.ts';
import { cliOn } from './tds.ts';

const { db, pool, HTTP, tds } = await cliOn(t);

t.test('many dead letters are planned, asked for, and retried with a reason', async (t) => {
  await pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue');
  await addDeadLetter(db);
  await addDeadLetter(db);
  const plan = await tds(['dlq', 'retry', '--all', '--dry-run', '-o', 'json']);
  t.match(JSON.parse(plan.out), { count: 2, permanent: 0 });
  const terminal = { tty: { in: true, out: true, err: true } };
  let asked = '';
  const ask = async (question: string) => {
    asked = question;
    return false;
  };
  t.match(await tds(['dlq', 'retry', '--all'], HTTP, { ...terminal, ask }), { code: 1 });
  t.match(asked, /^Retry 2 dead letters from 2/);
  t.match(await tds(['dlq', 'runs', '-o', 'json']), { out: '[]\n' });
  const started = await tds(['dlq', 'retry', '--tag', 'TimeoutError', '--yes', '--reason', 'fixed', '-o', 'json']);
  t.match(JSON.parse(started.out), {
    status: 'running',
    total: 2,
    reason: 'fixed',
    selection: { filter: { error_tag: 'TimeoutError' } },
  });
});

t.test('a record is edited in place, or given whole, and every digit is kept', async (t) => {
  const record = '{"contact_id":"1","total":12345678901234567.10,"line_items":[{"rate":1}],"notes":"a"}';
  const id = await addDeadLetter(db, record);
  const sets = ['--set', '/line_items/0/rate=2.50', '/notes=a = b', '--reason', 'x'];
  const planned = await tds(['dlq', 'edit', id, ...sets, '--dry-run']);
  t.match(planned, {
    code: 0,
    out: /\/line_items\/0\/rate +1 +2.50[\s\S]*\/notes +a +a = b/,
    err: /Nothing was changed/,
  });
  t.match(await tds(['dlq', 'edit', id, '--set', '/nothing/here=1', '--reason', 'x']), {
    code: 2,
    err: /has no \/nothing/,
  });
  t.match(await tds(['dlq', 'edit', id, '--set', 'total=1', '--reason', 'x']), { code: 2, err: /takes \/path=value/ });
  const file = path.join(t.testdir({ 'record.json': record.replace('.10', '.25') }), 'record.json');
  const ran = await tds(['dlq', 'edit', id, '--file', file, '--reason', 'x', '-o', 'json']);
  const { queue_id } = JSON.parse(ran.out);
  const { rows } = await pool.query('select payload::text as payload from tds_inbox_payloads where event_id = $1', [
    queue_id,
  ]);
  t.same(rows, [{ payload: record.replace('.10', '.25') }]);
});

t.test('many are discarded after a question, and restored together', async (t) => {
  await pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue');
  const ids = [await addDeadLetter(db), await addDeadLetter(db)];
  const words = ['dlq', 'discard', '--tag', 'TimeoutError', '--reason', 'garbage'];
  t.match(await tds([...words, '--dry-run', '-o', 'json']), { out: /"count": 2/ });
  t.match(await tds(words), { code: 2, err: /add --yes/ });
  t.match(JSON.parse((await tds([...words, '--yes', '-o', 'json'])).out), { discarded: 2, finished: true });
  t.equal(JSON.parse((await tds(['dlq', 'list', '--discarded', '-o', 'json'])).out).length, 2);
  t.equal((await tds(['dlq', 'restore', ...ids])).code, 0);
  t.equal(JSON.parse((await tds(['dlq', 'list', '-o', 'json'])).out).length, 2);
});

t.test('events why is one sentence, and what happened so far', async (t) => {
  const id = await addDeadLetter(db);
  await tds(['dlq', 'discard', id, '--reason', 'garbage']);
  const { out } = await tds(['events', 'why', id]);
  t.match(out, /^It waits for nothing: admin discarded it at .*\n {2}.* admin: dead_letter\.discard, discarded\n$/);
});

/** `tds check` as a monitoring system runs it. */
import t from 'tap';
import { cliOn } from './tds.ts';

const { pool, HTTP, nobody, tds } = await cliOn(t);

t.test('check has the exit codes and the bands of the operations guide', async (t) => {
  await pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_workers');
  const worker = `insert into tds_workers (worker_id, host, pid, expires_at, concurrency) values (gen_random_uuid(), 'a', 1, now() + interval '1 hour', 5)`;
  t.match(await tds(['check']), { code: 2, out: /^TDS CRITICAL - no worker is alive \|/ });
  await pool.query(worker);
  const ok = await tds(['check']);
  t.equal(ok.code, 0);
  t.match(
    ok.out,
    /^TDS OK - 0 pending, 0 dead letters \| pending=0;100;500 dead_letters=0;10;50 success_rate=100%;95:;90: processing_unchanged=0s;300;\n$/,
  );
  await pool.query('insert into tds_queue_counts (pending) values (99)');
  t.equal((await tds(['check'])).code, 0);
  await pool.query('insert into tds_queue_counts (pending) values (1)');
  t.match(await tds(['check']), { code: 1, out: /^TDS WARNING - pending 100 \|/ });
  await pool.query('insert into tds_queue_counts (pending) values (401)');
  t.match(await tds(['check']), { code: 2, out: /pending 501/ });
  await pool.query('insert into tds_queue_counts (pending, dead_letter) values (-501, 50)');
  t.match(await tds(['check']), { code: 1, out: /dead_letters 50/ });
  await pool.query('insert into tds_queue_counts (dead_letter) values (-50)');
  await pool.query('insert into tds_processing_totals (bucket, succeeded, failed) values (now(), 89, 11)');
  t.match(await tds(['check']), { code: 2, out: /success_rate 89%/ });
  await pool.query('insert into tds_processing_totals (bucket, succeeded, failed) values (now(), 50, 0)');
  t.match(await tds(['check']), { code: 1, out: /success_rate 92.67%/ });
  await pool.query('delete from tds_processing_totals');
  await tds(['queue', 'pause', '--reason', 'test']);
  t.match(await tds(['check']), { code: 1, out: /paused by admin: test/ });
  await tds(['queue', 'resume']);
  await tds(['queue', 'pause', '--event-type', 'bill.*', '--reason', 'test']);
  t.match(await tds(['check']), { code: 1, out: /bill\.\* paused by admin: test/ });
  t.match(await tds(['queue', 'resume']), { code: 0, err: /Still bill\.\* paused by admin/ });
  await tds(['queue', 'resume', '--event-type', 'bill.*']);
  t.match(await tds(['check', '--url', nobody]), { code: 2, out: /^TDS CRITICAL - No answer/ });
  t.match(await tds(['check'], { ...HTTP, tdsToken: 'wrong-token' }), { code: 3, out: /^TDS UNKNOWN/ });
});

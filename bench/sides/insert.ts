/** One single-row INSERT at a time through pg, nothing else: the floor of intake on one connection. */

import { open } from '../engine.ts';
import { arrival } from '../invoice.ts';
import { side } from '../side.ts';
import { percentile } from '../stats.ts';
import { createTextbook, INSERT_EVENT, textbookRow } from '../textbook.ts';

side<{ url: string; requests: number; warmUp: number }, { p50: number }>(async ({ url, requests, warmUp }) => {
  const { pool } = open(url, 1);
  await createTextbook(pool);
  const latencies: number[] = [];
  for (let n = 0; n < warmUp + requests; n += 1) {
    const { parsed, body } = arrival(n);
    const values = textbookRow(parsed, body);
    const started = performance.now();
    await pool.query({ name: 'event', text: INSERT_EVENT, values });
    if (n >= warmUp) latencies.push(performance.now() - started);
  }
  return { p50: percentile(latencies, 50) };
});

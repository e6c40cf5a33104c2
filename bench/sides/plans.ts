/** EXPLAIN (ANALYZE, BUFFERS) of the hot statements on the tables as they are, each undone. */
import { randomUUID } from 'node:crypto';
import { type ClaimOptions, claim } from '../../src/queue/claim.ts';
import { LowWater } from '../../src/queue/low-water.ts';
import { DONE, end, open, settle } from '../engine.ts';
import { explainingPool, type Plan } from '../explain.ts';
import { addPending } from '../history.ts';
import { side } from '../side.ts';

const OPTIONS = { workerId: randomUUID(), perEntity: 1, maxBytes: 16 << 20, from: 'head', withPayload: true } as const;

side<{ url: string; pending: number }, Record<string, Plan>>(async ({ url, pending }) => {
  const { pool } = open(url);
  await addPending(pool, pending);
  await settle(pool);
  const plans: Plan[] = [];
  const explaining = explainingPool(pool, plans);
  const names: string[] = [];
  for (const limit of [1, 500]) {
    const options: ClaimOptions = { ...OPTIONS, limit };
    await claim(explaining, new LowWater(), options);
    await end(explaining, OPTIONS.workerId, await claim(pool, new LowWater(), options), DONE);
    names.push(`take ${limit} entities`, `take ${limit} events`, `finish ${limit}`);
  }
  return Object.fromEntries(names.map((name, n) => [name, plans[n] as Plan]));
});

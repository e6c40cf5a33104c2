import type pg from 'pg';

export type Plan = {
  text: string;
  /** Read by the whole statement, its triggers not included. */
  buffers: number;
};

/**
 * A pool whose transactions are explained and undone: every statement first runs under EXPLAIN (ANALYZE, BUFFERS) and is
 * rolled back, then as itself; `commit` becomes a rollback. `plans` collects what was explained.
 */
export function explainingPool(pool: pg.Pool, plans: Plan[]): pg.Pool {
  const connect = async () => {
    const client = await pool.connect();
    const query = (statement: string | pg.QueryConfig, values?: unknown[]) =>
      explainAndRun(
        client,
        typeof statement === 'string' ? { text: statement, values: values ?? [] } : statement,
        plans,
      );
    return { query, release: () => client.release() };
  };
  return { connect } as unknown as pg.Pool;
}

async function explainAndRun(client: pg.PoolClient, statement: pg.QueryConfig, plans: Plan[]) {
  if (/^(begin|rollback)\b/.test(statement.text)) return client.query(statement.text);
  if (statement.text === 'commit') return client.query('rollback');
  const { text, values = [] } = statement;
  await client.query('savepoint explaining');
  const { rows } = await client.query({ text: `explain (analyze, buffers) ${text}`, values, rowMode: 'array' });
  await client.query('rollback to explaining');
  plans.push(readPlan(rows.flat()));
  return client.query({ ...statement, text, values });
}

function readPlan(lines: string[]): Plan {
  const text = lines.join('\n');
  const found = /Buffers: shared (.*)/.exec(text)?.[1] ?? '';
  const count = (name: string) => Number(new RegExp(`${name}=(\\d+)`).exec(found)?.[1] ?? 0);
  return { text, buffers: count('hit') + count('read') };
}

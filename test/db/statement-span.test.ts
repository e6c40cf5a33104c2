import t from 'tap';
import { withoutValues } from '../../src/db/statement-span.ts';

t.test('literals become question marks, everything else stays', async (t) => {
  const cases: [text: string, shown: string | undefined][] = [
    ["select * from t where name = 'Miss Marple' and total > 12345.50", 'select * from t where name = ? and total > ?'],
    ['insert into t2 (a, b) values ($1, $12::int4)', 'insert into t2 (a, b) values ($1, $12::int4)'],
    ["select 'it''s ' || 'Jane'", 'select ?? || ?'],
    [
      `select "it's a column" from t where a = 'Jane' and b = 'x'`,
      `select "it's a column" from t where a = ? and b = ?`,
    ],
    ["select 'never closed, Jane", 'select ?'],
    ["select E'\\'' || 'Jane'", undefined],
    ['select $$Jane$$', undefined],
    ['select $a$Jane$a$', undefined],
    ["select 1 -- it's\n, 'Jane'", undefined],
    ["select /* it's */ 'Jane'", undefined],
  ];
  for (const [text, shown] of cases) t.equal(withoutValues(text), shown, text);
});

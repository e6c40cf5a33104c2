/** Since when a secret has had its value; the value itself is nowhere. */
import t from 'tap';
import { noteSecrets } from '../../src/access/secrets.ts';
import { loadConfig } from '../../src/config.ts';
import { testDatabase } from '../helper.ts';

const { db, pool } = await testDatabase(t);
const names = async () => (await pool.query('select name from tds_secrets order by name')).rows.map(({ name }) => name);
const note = (settings: NodeJS.ProcessEnv) => noteSecrets(db, loadConfig({ NODE_ENV: 'test', ...settings }));

t.test('the date of a secret moves when it is changed, and only then', async (t) => {
  const isOld = async () =>
    (await pool.query(`select since < now() - interval '1 day' as old from tds_secrets`)).rows[0].old;
  await note({ ZOHO_WEBHOOK_SECRET: 'first-secret-of-twelve' });
  await pool.query(`update tds_secrets set since = now() - interval '9 days'`);
  await note({ ZOHO_WEBHOOK_SECRET: 'first-secret-of-twelve' });
  t.equal(await isOld(), true);
  await note({ ZOHO_WEBHOOK_SECRET: 'second-secret-of-twelve' });
  t.equal(await isOld(), false);
});

t.test('what is no longer set is forgotten, and what is no secret is not noted', async (t) => {
  await note({ ZOHO_WEBHOOK_SECRET: 'first-secret-of-twelve', METRICS_TOKEN: 'a-token-for-the-scrape', PORT: '9000' });
  t.same(await names(), ['METRICS_TOKEN', 'ZOHO_WEBHOOK_SECRET']);
  await note({});
  t.same(await names(), []);
});

t.test('four bytes are kept of it, with a salt of their own', async (t) => {
  await note({ ZOHO_WEBHOOK_SECRET: 'same-secret-twice-here', METRICS_TOKEN: 'same-secret-twice-here' });
  const { rows } = await pool.query('select fingerprint, salt from tds_secrets');
  t.same(
    rows.map(({ fingerprint }) => fingerprint.length),
    [4, 4],
  );
  t.notSame(rows[0].salt, rows[1].salt);
});

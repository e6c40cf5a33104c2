/** A canary: values of a customer's record that a handler and a called system repeat, and where they must not come out. */
import { openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import t from 'tap';
import { createLogger } from '../../../src/log.ts';
import { testApi } from '../../api/client.ts';
import { attemptEach } from './failing.ts';

const { api, pool } = await testApi(t);

const RECORD = {
  contact_id: '460000000026049',
  contact_name: 'Jane Canary',
  email: 'jane@canary.example',
  phone: '+964 770 123 4567',
  notes: 'prefers the small canary cage',
  outstanding: 98765.43,
};
const CANARY = /canary|jane|770 123|98,?765/i;

t.test('no value of a customer comes out of a failure, neither in an answer nor in the log', async (t) => {
  const file = path.join(t.testdir(), 'log');
  const { contact_name, email, phone, outstanding, notes } = RECORD;
  const said = `cannot bill ${contact_name} <${email}>, ${phone}, who owes ${outstanding}: ${notes}`;
  const [id] = await attemptEach(
    pool,
    ['460000000026049'],
    async (_, { trx }) => {
      await sql`select 1`.execute(trx);
      const response = { body: { message: said, customer: RECORD, errors: [{ code: 'no_account' }] } };
      const cause = Object.assign(new Error(said), { status: 422, response });
      throw Object.assign(new Error(said, { cause }), { name: 'ValidationError' });
    },
    { record: RECORD, log: createLogger('tds-core-test', 'trace', { fd: openSync(file, 'a') }) },
  );
  const [group] = (await api.inject('/dashboard/errors')).json();
  const tells = {
    '/dashboard/errors': /no_account/,
    [`/dashboard/errors/${group.fingerprint}`]: /no_account/,
    [`/dashboard/events/${id}`]: /"message":"cannot bill …/,
    '/dashboard/entities/60000000001/invoice/460000000026049': /"message":"cannot bill …/,
  };
  for (const [url, what] of Object.entries(tells)) {
    const answer = await api.inject(url);
    t.match(answer.body, what, `${url} tells of the failure`);
    t.notMatch(answer.body, CANARY, url);
  }
  const log = readFileSync(file, 'utf8');
  t.match(log, new RegExp(`${id}`), 'the log tells of the attempt');
  t.match(log, /no_account/);
  t.notMatch(log, CANARY);
});

import t from 'tap';
import { buildApp } from '../../src/api/app.ts';
import { loadConfig } from '../../src/config.ts';
import { silentLog, testDatabase } from '../helper.ts';
import { addDeadLetter } from './client.ts';

const { db, pool } = await testDatabase(t);
const config = loadConfig({ NODE_ENV: 'test' });
const api = await buildApp({
  config,
  log: silentLog,
  db,
  pool,
  inbox: { accept: () => Promise.reject(new Error('none')) },
});
t.teardown(() => api.close());
const options = { config: { role: 'operator', action: 'test.echo' } } as const;
api.post('/echo', options, async ({ body }) => ({ body: body === undefined ? 'none' : body }));

const FORM = 'application/x-www-form-urlencoded';

async function echo(payload: string, type?: string) {
  const headers = type === undefined ? {} : { 'content-type': type };
  // A Buffer, because inject would guess a type for text.
  const answer = await api.inject({ method: 'POST', url: '/echo', headers, payload: Buffer.from(payload) });
  return answer.statusCode === 200 ? answer.json().body : `${answer.statusCode} ${answer.json().code}`;
}

t.test('JSON is read with its own type, without one, and with that of curl -d', async (t) => {
  for (const type of [
    'application/json',
    'application/json; charset=utf-8',
    undefined,
    FORM,
    `${FORM};charset=UTF-8`,
  ]) {
    t.same(await echo('{"reason":"wrong price"}', type), { reason: 'wrong price' }, String(type));
  }
});

t.test('an empty body is none, unless it says that it is JSON', async (t) => {
  t.equal(await echo('', FORM), 'none');
  t.equal(await echo(''), 'none');
  t.equal(await echo('', 'application/json'), '400 invalid_json');
});

t.test('a real form, broken JSON, a key that pollutes and other types are refused', async (t) => {
  t.equal(await echo('reason=wrong+price', FORM), '400 invalid_json');
  t.equal(await echo('{"reason":', undefined), '400 invalid_json');
  t.equal(await echo('{"__proto__":{"admin":true}}', FORM), '400 invalid_json');
  for (const type of ['text/plain', 'text/xml', 'multipart/form-data; boundary=x', 'application/jsonp', 'nonsense'])
    t.equal(await echo('{}', type), '415 unsupported_media_type', type);
  t.equal(await echo(`"${'x'.repeat(70_000)}"`, FORM), '413 payload_too_large');
});

t.test('the commands of the operations guide work with and without -d', async (t) => {
  for (const body of [undefined, '', '{}']) {
    const url = `/dashboard/dead-letter/${await addDeadLetter(db)}/retry`;
    const sent = body === undefined ? {} : { payload: body, headers: { 'content-type': FORM } };
    t.equal((await api.inject({ method: 'POST', url, ...sent })).statusCode, 200, `-d ${body}`);
  }
});

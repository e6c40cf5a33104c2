/** Where a notification may go, and what a receiver may do to us. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import t from 'tap';
import { DeadMansSwitch } from '../../../src/monitor/notify/heartbeat.ts';
import { post } from '../../../src/monitor/notify/post.ts';
import { silentLog } from '../../helper.ts';
import { startReceiver } from './receiver.ts';

const receiver = await startReceiver(t);
const port = new URL(receiver.url).port;

t.beforeEach(() => {
  receiver.received.length = 0;
  receiver.answer = (response) => response.writeHead(204).end();
});

t.test('a private address is refused when sending, in any spelling', async (t) => {
  for (const host of [
    '127.0.0.1',
    '2130706433',
    '0x7f.1',
    'localhost.',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '10.0.0.1',
    '169.254.169.254',
  ])
    await t.rejects(post({ url: `http://${host}:${port}/`, allowPrivate: false }), /private network/, host);
  t.same(receiver.received, []);
});

t.test('a name is judged by the address that is connected to', async (t) => {
  const resolve = async () => [{ address: '127.0.0.1', family: 4 }];
  await t.rejects(post({ url: `http://hooks.example.com:${port}/`, allowPrivate: false, resolve }), /private network/);
  const mixed = async () => [
    { address: '192.0.2.1', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ];
  await t.rejects(post({ url: `http://hooks.example.com:${port}/`, allowPrivate: false, resolve: mixed }), /private/);
  t.same(receiver.received, []);
  await post({ url: `http://hooks.example.com:${port}/x`, allowPrivate: true, resolve, body: '{}' });
  t.match(receiver.received, [{ path: '/x', headers: { host: `hooks.example.com:${port}` } }]);
});

t.test('a name that is public when asked first and private afterwards is asked once only', async (t) => {
  const answers = ['192.0.2.1', '127.0.0.1'];
  let asked = 0;
  const resolve = async () => [{ address: answers[asked++] ?? '127.0.0.1', family: 4 }];
  await t.rejects(post({ url: `http://hooks.example.com:${port}/`, allowPrivate: false, resolve, timeoutMs: 300 }));
  t.equal(asked, 1);
  t.same(receiver.received, [], 'it went to the address that was checked');
});

t.test('a redirect is a failure, and not followed', async (t) => {
  receiver.answer = (response) => response.writeHead(307, { location: '/elsewhere' }).end();
  await t.rejects(post({ url: receiver.url, allowPrivate: true, body: '{}' }), /307; redirects are not followed/);
  t.equal(receiver.received.length, 1);
});

t.test('a receiver that accepts and never answers is given up', async (t) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  t.teardown(() => silent.close());
  await new Promise((resolve) => silent.once('listening', resolve));
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
  await t.rejects(post({ url, allowPrivate: true, timeoutMs: 200 }), /no answer within 0.2 s/);
});

t.test('an answer without end is not waited for', async (t) => {
  receiver.answer = (response) => response.writeHead(200).write('on and on');
  await post({ url: receiver.url, allowPrivate: true });
  t.equal(receiver.received.length, 1);
});

t.test('the heartbeat calls once a minute while alerts are evaluated', async (t) => {
  let now = 0;
  const config = { heartbeatUrl: receiver.url, alertWebhookAllowPrivate: true };
  const heartbeat = new DeadMansSwitch(config, silentLog, { now: () => now });
  for (const at of [0, 15_000, 59_000, 60_000]) {
    now = at;
    await heartbeat.evaluated();
  }
  t.match(receiver.received, [{ method: 'GET' }, { method: 'GET' }]);
  t.equal(receiver.received.length, 2);
  receiver.answer = (response) => response.writeHead(500).end();
  now = 120_000;
  await t.resolves(heartbeat.evaluated(), 'a failure is only a line in the log');
});

import t from 'tap';
import { loadConfig } from '../src/config.ts';
import { isLoopback } from '../src/loopback.ts';

t.test('every spelling of this machine is loopback, and nothing else is', async (t) => {
  const own = ['localhost', 'LOCALHOST', '127.0.0.1', '127.8.9.10', '::1', '[::1]', '0:0:0:0:0:0:0:1'];
  for (const name of [...own, '::ffff:127.0.0.1', '[::ffff:127.0.0.1]']) t.ok(isLoopback(name), name);
  const others = ['', '0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '127.0.0.1.evil.example', 'localhost.evil.example'];
  for (const name of [...others, 'xlocalhost', '127.0.0', '127.999.0.1', '::ffff:10.0.0.1'])
    t.notOk(isLoopback(name), name);
});

t.test('HOST is judged by the same rule', async (t) => {
  for (const HOST of ['localhost', '127.0.0.2', '::1']) t.equal(loadConfig({ HOST }).host, HOST);
  for (const HOST of ['0.0.0.0', '::', 'example.com'])
    t.throws(() => loadConfig({ HOST }), /HOST is open to the network/);
});

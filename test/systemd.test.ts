import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { pingSystemd, watchdogPingMs } from '../src/systemd.ts';
import { waitFor } from './helper.ts';

t.test('the watchdog is told three times within its time, if it waits for this process', async (t) => {
  t.equal(watchdogPingMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) }), 10_000);
  t.equal(watchdogPingMs({ WATCHDOG_USEC: '30000000' }), 10_000);
  t.equal(watchdogPingMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }), undefined);
  t.equal(watchdogPingMs({}), undefined);
});

t.test('a process tells the watchdog again and again that its loop turns, until it stops', async (t) => {
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'tds-notify-'));
  const told = path.join(folder, 'told');
  fs.writeFileSync(told, '');
  fs.writeFileSync(path.join(folder, 'systemd-notify'), `#!/bin/sh\necho "$1" >> '${told}'\n`, { mode: 0o755 });
  const { PATH = '' } = process.env;
  process.env.PATH = `${folder}:${PATH}`;
  t.teardown(() => {
    process.env.PATH = PATH;
    fs.rmSync(folder, { recursive: true });
  });
  const ping = pingSystemd({ NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '60000' }, t.error);
  ping.start?.();
  await waitFor('several pings', () => fs.readFileSync(told, 'utf8').split('WATCHDOG=1\n').length > 3);
  ping.stop?.();
});

/** The O cases: where alerts may be sent, and how the Zoho Books API may fail us. */
import type { Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { post } from '../../src/monitor/notify/post.ts';
import { type Checks, notBuilt, shownBy } from './check.ts';

const pull = 'the client of the Zoho Books API';

export const outward: Checks = {
  O01: async (t) =>
    areRefused(t, [
      ...[
        '127.0.0.1',
        '2130706433',
        '0x7f.1',
        '0177.0.0.1',
        '127.1',
        '１２７.0.0.1',
        'localhost',
        'localhost.',
        'x.localhost',
      ],
      ...['[::1]', '[::ffff:7f00:1]', '[::ffff:127.0.0.1]', '0.0.0.0', '[::]', '10.0.0.1', '192.168.1.1', '172.16.0.1'],
    ]),
  O02: async (t) => areRefused(t, ['169.254.169.254', '[fe80::1]', '[fd00::1]', '100.64.0.1']),
  O04: shownBy('test/monitor/notify/post.test.ts', 'a name is judged by the address that is connected to'),
  O06: async (t) => {
    for (const url of [
      'file:///etc/passwd',
      'gopher://example.com',
      'ftp://example.com',
      'data:,x',
      'http://example.com',
    ])
      t.throws(() => loadConfig({ ALERT_WEBHOOK_URL: url }), /https:/, url);
  },
  O07: async (t) => {
    const url = 'https://user:hunter2@example.com/hook';
    t.throws(() => loadConfig({ ALERT_WEBHOOK_URL: url }), /user name or password/);
    t.notMatch(messageOf(url), 'hunter2', 'and it is not repeated');
  },
  O08: shownBy('test/monitor/notify/deliver.test.ts', 'a receiver that hangs holds up nobody else'),
  O10: notBuilt(pull),
  O11: notBuilt(pull),
  O12: notBuilt(pull),
};

async function areRefused(t: Test, hosts: string[]): Promise<void> {
  for (const host of hosts) {
    const url = `https://${host}/hook`;
    t.match(messageOf(url), /ALERT_WEBHOOK_URL/, host);
    await t.rejects(post({ url, allowPrivate: false, timeoutMs: 1000 }), /private network/, `${host}, when sending`);
  }
}

function messageOf(url: string): string {
  try {
    loadConfig({ ALERT_WEBHOOK_URL: url });
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

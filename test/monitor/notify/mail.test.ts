/** Alerts by SMTP. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { sql } from 'kysely';
import t from 'tap';
import { composeMessages, sendDue } from '../../../src/monitor/notify/deliver.ts';
import { queueTest } from '../../../src/monitor/notify/test-notification.ts';
import { testDatabase } from '../../helper.ts';
import { notifyConfig } from './receiver.ts';

const { db } = await testDatabase(t);

/** A mail server of a few lines that keeps what it is given. */
async function startMailServer(): Promise<{ url: string; mails: string[] }> {
  const mails: string[] = [];
  const server = createServer((socket) => serve(socket, mails)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  return { url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, mails };
}

function serve(socket: Socket, mails: string[]): void {
  let data: string | undefined;
  const say = (line: string) => socket.write(`${line}\r\n`);
  say('220 mail.example.com');
  let rest = '';
  socket.setEncoding('utf8').on('error', () => {});
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (data !== undefined) {
        if (line === '.') {
          mails.push(data);
          data = undefined;
          say('250 kept');
        } else data += `${line}\n`;
      } else if (line === 'DATA') {
        data = '';
        say('354 go on');
      } else if (line === 'QUIT') socket.end('221 bye\r\n');
      else say('250 mail.example.com');
    }
  });
}

t.test('a notification goes by mail too, its Message-ID is its key', async (t) => {
  const { url, mails } = await startMailServer();
  const people = { ALERT_MAIL_FROM: 'tds@example.com', ALERT_MAIL_TO: 'ann@example.com,bob@example.com' };
  const config = notifyConfig({ ALERT_SMTP_URL: url, ...people });
  await queueTest(db, 'ann');
  t.equal(await composeMessages(db, config), 1);
  t.match(await sendDue(db, 'mail', config), [{ error: undefined }]);
  const { rows } = await sql<{ id: string }>`select id from tds_notifications`.execute(db);
  t.equal(mails.length, 1);
  t.match(mails[0], new RegExp(`^Message-ID: <${rows[0]?.id}@tds-core>$`, 'm'));
  t.match(mails[0], /^Subject: TDS Core: test notification$/m);
  t.match(mails[0], /^To: ann@example.com, bob@example.com$/m);
  t.match(mails[0], 'Nothing is wrong.');
});

t.test('a mail server that is away is a failure that says so', async (t) => {
  const people = { ALERT_MAIL_FROM: 'tds@example.com', ALERT_MAIL_TO: 'ann@example.com' };
  const config = notifyConfig({ ALERT_SMTP_URL: 'smtp://127.0.0.1:1', ...people });
  await queueTest(db, 'ann');
  await composeMessages(db, config);
  t.match(await sendDue(db, 'mail', config), [{ error: /ECONNREFUSED/ }]);
});

/** Receivers of notifications on loopback. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loadConfig } from '../../../src/config.ts';
import type { Message } from '../../../src/monitor/notify/message.ts';
import type { NotifyConfig } from '../../../src/monitor/notify/outgoing.ts';
import type { Teardown } from '../../helper.ts';

export type Received = { method: string; path: string; headers: IncomingHttpHeaders; body: string; message: Message };

export type Receiver = {
  url: string;
  received: Received[];
  answer: (response: ServerResponse, nth: number) => unknown;
};

/** Keeps what it gets and answers 204 until told otherwise. */
export async function startReceiver(t: Teardown): Promise<Receiver> {
  const receiver: Receiver = { url: '', received: [], answer: (response) => response.writeHead(204).end() };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request;
      receiver.received.push({ method, path, headers, body, message: body ? JSON.parse(body) : undefined });
      receiver.answer(response, receiver.received.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return receiver;
}

/** Settings under which everything goes to this machine at once. */
export function notifyConfig(env: Record<string, string>): NotifyConfig {
  return loadConfig({ NODE_ENV: 'test', ALERT_WEBHOOK_ALLOW_PRIVATE: '1', ALERT_GROUP_SECONDS: '0', ...env });
}

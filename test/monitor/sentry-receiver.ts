/** What takes envelopes as Sentry does, on loopback. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Teardown } from '../helper.ts';

// biome-ignore lint/suspicious/noExplicitAny: what was received, for tests to look into
type Json = any;
export type Envelope = { path: string; auth: string; header: Json; item: Json; event: Json; text: string };

export class Receiver {
  readonly envelopes: Envelope[] = [];
  dsn = '';
  status = 200;
  isSilent = false;

  static async start(t: Teardown): Promise<Receiver> {
    const receiver = new Receiver();
    const server = createServer(async (request, response) => {
      let text = '';
      for await (const chunk of request.setEncoding('utf8')) text += chunk;
      const [header, item, event] = text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line));
      const auth = String(request.headers['x-sentry-auth']);
      receiver.envelopes.push({ path: request.url ?? '', auth, header, item, event, text });
      if (!receiver.isSilent) response.writeHead(receiver.status).end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close().closeAllConnections());
    receiver.dsn = `http://public-key@127.0.0.1:${(server.address() as AddressInfo).port}/42`;
    return receiver;
  }

  get last(): Envelope {
    const last = this.envelopes.at(-1);
    if (!last) throw new Error('nothing was received');
    return last;
  }
}

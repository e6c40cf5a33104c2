/** The load generator: keep-alive connections, one request at a time on each, all bytes made beforehand. */
import net from 'node:net';
import { webhookRequest } from '../invoice.ts';
import { side } from '../side.ts';
import { percentile } from '../stats.ts';

export type LoadOptions = { port: number; connections: number; requests: number; firstEvent: number; warmUp: number };
export type Load = { perSecond: number; p50: number; p95: number };

side<LoadOptions, Load>(async ({ port, connections, requests, firstEvent, warmUp }) => {
  const make = (first: number, count: number) => Array.from({ length: count }, (_, i) => webhookRequest(first + i));
  await sendAll(port, connections, make(firstEvent, warmUp));
  const prepared = make(firstEvent + warmUp, requests);
  const started = performance.now();
  const latencies = await sendAll(port, connections, prepared);
  const perSecond = requests / ((performance.now() - started) / 1000);
  return { perSecond, p50: percentile(latencies, 50), p95: percentile(latencies, 95) };
});

/** Sends every request and waits for its answer. Returns the milliseconds each took. @throws Error unless all are 202 */
async function sendAll(port: number, connections: number, requests: Buffer[]): Promise<number[]> {
  const latencies: number[] = [];
  let next = 0;
  const sender = async () => {
    let connection = await connect(port);
    while (next < requests.length) {
      const request = requests[next++] as Buffer;
      const started = performance.now();
      const answer = await connection.send(request);
      latencies.push(performance.now() - started);
      if (!answer.startsWith('HTTP/1.1 202')) throw new Error(`expected 202, got: ${answer.slice(0, 300)}`);
      // The API closes a connection after 1,000 requests and says so.
      if (/^connection: close/im.test(answer)) connection = await connect(port);
    }
    connection.socket.destroy();
  };
  await Promise.all(Array.from({ length: connections }, sender));
  return latencies;
}

type Connection = { socket: net.Socket; send(request: Buffer): Promise<string> };

/** node:http's client would need as much CPU as the server it measures; this needs a tenth. */
async function connect(port: number): Promise<Connection> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  let received = '';
  let answer: PromiseWithResolvers<string> | undefined;
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    if (!isComplete(received)) return;
    answer?.resolve(received);
    received = '';
  });
  socket.on('close', () => answer?.reject(new Error('the server closed the connection before it answered')));
  return {
    socket,
    send(request) {
      answer = Promise.withResolvers<string>();
      socket.write(request);
      return answer.promise;
    },
  };
}

function isComplete(response: string): boolean {
  const headEnd = response.indexOf('\r\n\r\n');
  if (headEnd < 0) return false;
  const length = Number(/^content-length: (\d+)/im.exec(response)?.[1] ?? 0);
  return response.length >= headEnd + 4 + length;
}

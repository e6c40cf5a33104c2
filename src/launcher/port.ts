import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';

/** Longer than the children of a former start take to notice that it is gone. */
const PATIENCE_MS = 15_000;
const POLL_MS = 100;

/**
 * The port to use: ours, once a former start's API has left it, or any free one for 0.
 * @throws Error that names PORT or HOST and says what to do
 */
export async function freePort({ host, port }: Config, say: (sentence: string) => void): Promise<number> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (let told = false; ; await sleep(POLL_MS)) {
    const free = await tryPort(host, port);
    if (free !== undefined) return free;
    if (Date.now() > giveUpAt) throw new Error(`port ${port} is in use: stop the program that uses it, or set PORT`);
    if (!told) say(`waiting for port ${port}, which is still in use`);
    told = true;
  }
}

async function tryPort(host: string, port: number): Promise<number | undefined> {
  const server = net.createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    const { port: bound } = server.address() as net.AddressInfo;
    server.close();
    await once(server, 'close');
    return bound;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') return undefined;
    if (code === 'EACCES') throw new Error(`PORT=${port} is not open to this user (EACCES): set PORT to 1024 or above`);
    throw new Error(`HOST=${host} cannot be listened on (${code ?? message}): set HOST to an address of this machine`);
  }
}

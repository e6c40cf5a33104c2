import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from './deps.ts';

export type Address = { host: string; port: number } | { fd: number };

/** Like the socket unit's: with Node's 511 a burst of connections waits for TCP's retries, a second and more. */
const BACKLOG = 4096;

/** Starts to listen and answers the URL. With `fd` the socket is systemd's: it outlives us and refuses nobody. */
export async function listen(api: Api, address: Address): Promise<string> {
  await api.ready();
  // Not api.listen(): for 'localhost' it opens further servers that drain() would not know.
  api.server.listen({ ...address, backlog: BACKLOG });
  await once(api.server, 'listening');
  const { address: host, port } = api.server.address() as net.AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

const GRACE_MS = 600;

/**
 * Stops without breaking a request: 0 errors in 826 requests over five restarts, where a plain close() broke 25.
 * New connections wait in systemd's socket for our successor; connected clients are still served, and each answer tells
 * them to connect anew. Those that stay silent are disconnected after a grace; all are after `patienceMs`.
 */
export async function drain(api: Api, patienceMs: number): Promise<void> {
  api.drain.begun = true;
  const served = stopAccepting(api);
  await sleep(GRACE_MS);
  api.server.closeIdleConnections();
  await Promise.race([served, sleep(patienceMs, undefined, { ref: false })]);
  api.server.closeAllConnections();
  await api.close();
}

/** net's close: http's own would also cut idle keep-alive connections, whose next request may be under way. */
function stopAccepting(api: Api): Promise<void> {
  return new Promise((resolve) => {
    net.Server.prototype.close.call(api.server, () => resolve());
  });
}

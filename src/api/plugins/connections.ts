import type { Socket } from 'node:net';
import type { Api } from '../deps.ts';
import { MAX_HEADERS } from './headers.ts';

const MAX_CONNECTIONS = 4000;
/** Long enough for an honest client to get its first request through. */
const SILENCE_MS = 1000;

/** Bounds what clients may hold: connections, headers, and bodies that nobody has asked for. */
export function limitConnections({ server }: Api, bodyLimit: number): void {
  server.maxConnections = MAX_CONNECTIONS;
  const dropSilent = watchSilent(server);
  server.on('drop', () => {
    server.closeIdleConnections();
    dropSilent();
  });
  // Node silently drops headers beyond its limit; one more than we allow lets us see that there were too many.
  server.maxHeadersCount = MAX_HEADERS + 1;
  // Without this Node invites the body with 100 Continue before anybody has looked at its length.
  server.on('checkContinue', (request, response) => {
    if (Number(request.headers['content-length'] ?? 0) <= bodyLimit) response.writeContinue();
    server.emit('request', request, response);
  });
}

/**
 * Returns a function that ends connections which have been open for a while without a complete request:
 * closeIdleConnections() spares those, although a flood consists of nothing else.
 */
function watchSilent(server: Api['server']): () => void {
  const silent = new Map<Socket, number>();
  server.on('connection', (socket: Socket) => {
    silent.set(socket, Date.now());
    socket.once('close', () => silent.delete(socket));
  });
  server.on('request', ({ socket }) => silent.delete(socket));
  return () => {
    const latest = Date.now() - SILENCE_MS;
    for (const [socket, since] of silent) {
      if (since > latest) return;
      socket.destroy();
    }
  };
}

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Api } from '../deps.ts';
import { MAX_HEADERS } from './headers.ts';

const MAX_CONNECTIONS = 4000;
/** Long enough for an honest client to get a request through. */
const UNFINISHED_MS = 1000;

/** Bounds what clients may hold: connections, headers, and bodies that nobody has asked for. */
export function limitConnections({ server }: Api, bodyLimit: number): void {
  server.maxConnections = MAX_CONNECTIONS;
  const dropUnfinished = watchUnfinished(server);
  server.on('drop', () => {
    server.closeIdleConnections();
    dropUnfinished();
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
 * Returns a function that ends connections which have been in the middle of a request for a while, or have never begun
 * one: closeIdleConnections() spares those, although a flood of slow senders consists of nothing else.
 */
function watchUnfinished(server: Api['server']): () => void {
  const unfinished = new Map<Socket, number>();
  const begin = (socket: Socket) => {
    unfinished.delete(socket); // so that the order stays that of their beginning
    unfinished.set(socket, Date.now());
  };
  server.on('connection', (socket: Socket) => {
    begin(socket);
    socket.once('close', () => unfinished.delete(socket));
  });
  server.on('request', (request: IncomingMessage) => {
    const { socket } = request;
    if (request.complete || !hasBody(request)) return void unfinished.delete(socket);
    begin(socket);
    request.once('end', () => unfinished.delete(socket));
  });
  return () => {
    const latest = Date.now() - UNFINISHED_MS;
    for (const [socket, since] of unfinished) {
      if (since > latest) return;
      socket.destroy();
    }
  };
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

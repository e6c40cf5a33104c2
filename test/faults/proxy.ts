/** A TCP proxy in front of PostgreSQL's socket that can misbehave like a network. */
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * pass; delay: each chunk waits; blackhole: both directions are swallowed, and connections that were swallowed once
 * never recover (a half-open TCP connection); refuse: new connections are reset.
 */
export type ProxyMode = { kind: 'pass' } | { kind: 'delay'; ms: number } | { kind: 'blackhole' } | { kind: 'refuse' };

type Pair = { client: net.Socket; server: net.Socket; swallowed: boolean; armed: boolean };
/** `behind`: only a `commit` on a connection where this text came before it, in the same transaction. */
type Cut = { at: string; behind?: string; left: number };

const SERVER_WORKS_MS = 100;

export class FaultyProxy {
  readonly #target: string;
  readonly #listener: net.Server;
  readonly #pairs = new Set<Pair>();
  #mode: ProxyMode = { kind: 'pass' };
  #cut: Cut | undefined;
  /** How many times a fault of this proxy met traffic. */
  hits = 0;

  private constructor(target: string) {
    this.#target = target;
    this.#listener = net.createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
  }

  /** In front of the Unix socket `target`, on a free loopback port. */
  static async open(target: string): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target);
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#listener.address() as net.AddressInfo).port;
  }

  set mode(mode: ProxyMode) {
    this.#mode = mode;
  }

  /** The next `times` requests that contain `text` reach the server, but the connection dies before the answer. */
  cutAnswersTo(text: string, times: number): void {
    this.#cut = { at: text, left: times };
  }

  /** The same for the next `times` commits of transactions in which `text` was sent. */
  cutCommitsAfter(text: string, times: number): void {
    this.#cut = { at: 'commit', behind: text, left: times };
  }

  /** RST on every connection, as by a firewall that forgot them. */
  resetAll(): void {
    for (const { client, server } of this.#pairs) {
      this.hits += 1;
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** FIN towards the clients only: they may still send, nobody answers. */
  halfCloseAll(): void {
    for (const pair of this.#pairs) {
      this.hits += 1;
      pair.swallowed = true;
      pair.client.end();
      pair.server.destroy();
    }
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }

  #accept(client: net.Socket): void {
    if (this.#mode.kind === 'refuse') {
      this.hits += 1;
      client.resetAndDestroy();
      return;
    }
    const pair: Pair = { client, server: net.connect(this.#target), swallowed: false, armed: false };
    this.#pairs.add(pair);
    client.on('data', (chunk) => this.#toServer(pair, chunk));
    pair.server.on('data', (chunk) => void this.#carry(pair, pair.client, chunk));
    for (const socket of [client, pair.server]) {
      socket.on('error', () => undefined);
      socket.on('close', () => this.#closed(pair));
      socket.on('end', () => this.#closed(pair));
    }
  }

  /** A connection that was swallowed stays on both sides: neither learns what the other one did. */
  #closed(pair: Pair): void {
    if (pair.swallowed) return;
    pair.client.destroy();
    pair.server.destroy();
    this.#pairs.delete(pair);
  }

  #toServer(pair: Pair, chunk: Buffer): void {
    const cut = this.#cut;
    if (cut && cut.left > 0 && meets(pair, chunk, cut)) {
      cut.left -= 1;
      this.hits += 1;
      void this.#cutAfter(pair, chunk);
    } else void this.#carry(pair, pair.server, chunk);
  }

  async #cutAfter(pair: Pair, chunk: Buffer): Promise<void> {
    pair.server.removeAllListeners('data').resume();
    pair.server.write(chunk);
    await sleep(SERVER_WORKS_MS);
    pair.client.resetAndDestroy();
    pair.server.destroy();
  }

  async #carry(pair: Pair, to: net.Socket, chunk: Buffer): Promise<void> {
    const mode = this.#mode;
    if (mode.kind === 'blackhole') pair.swallowed = true;
    if (mode.kind !== 'pass') this.hits += 1;
    if (pair.swallowed) return;
    // Timers of equal length fire in order, so the chunks stay in order.
    if (mode.kind === 'delay') await sleep(mode.ms);
    if (!to.destroyed) to.write(chunk);
  }
}

function meets(pair: Pair, chunk: Buffer, { at, behind }: Cut): boolean {
  if (behind === undefined) return chunk.includes(at);
  const isEnd = pair.armed && chunk.includes(at);
  // A BEGIN may bring settings whose names look like a COMMIT.
  pair.armed = chunk.includes(behind) || (pair.armed && !chunk.includes('begin') && !isEnd);
  return isEnd;
}

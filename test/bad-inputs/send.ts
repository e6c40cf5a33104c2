/** The ways in which a bad input reaches the API: signed and well-formed by fetch, or byte by byte through a socket. */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import type { Test } from 'tap';
import type { System } from '../system.ts';

export const CURRENT_SECRET = 'current-secret-of-the-tests';
export const PREVIOUS_SECRET = 'previous-secret-of-the-tests';
export const BODY_LIMIT = 1024 * 1024;

/** Where a case strikes: the running system, under an organization of the case's own. */
export type Target = { system: System; url: string; organization: string; t: Test };

export type Answer = {
  /** 0: the connection ended without an answer. */
  status: number;
  headers: Record<string, string>;
  text: string;
  sent: Buffer;
};

export type Request = {
  body?: string | Buffer;
  contentType?: string | null;
  method?: string;
  /** Below the case's organization, such as `/invoice/deleted`; its query too. */
  to?: string;
  /** Undefined: signed as Zoho does over these bytes; null: not at all; else the header's value. */
  signature?: string | null;
  headers?: Record<string, string>;
};

/** HMAC-SHA256 in hex, as Zoho signs a body without a query. */
export function sign(body: string | Buffer, secret = CURRENT_SECRET): string {
  return createHmac('sha256', secret).update(body).digest('hex');
}

/** Delivers to the case's organization; authentic unless the request says otherwise. */
export async function post({ url, organization }: Target, request: Request): Promise<Answer> {
  const { contentType = 'application/json', method = 'POST', to = '', signature } = request;
  const body = Buffer.from(request.body ?? '');
  const headers = { ...request.headers };
  if (contentType !== null) headers['content-type'] = contentType;
  if (signature !== null) headers['x-zoho-webhook-signature'] = signature ?? sign(body);
  const path = `/webhooks/zoho-books/${organization}${to}`;
  const withBody = method === 'GET' || method === 'HEAD' ? {} : { body: new Uint8Array(body) };
  return answerOf(await fetch(url + path, { method, headers, ...withBody }), body);
}

/** One after the other. */
export async function postAll(at: Target, requests: Request[]): Promise<Answer[]> {
  const answers = [];
  for (const request of requests) answers.push(await post(at, request));
  return answers;
}

/** Any other request. */
export async function get({ url }: Target, path: string, init: RequestInit = {}): Promise<Answer> {
  return answerOf(await fetch(url + path, init), Buffer.alloc(0));
}

/** The first lines of a signed POST to the case's organization, for what only a socket can send. */
export function head({ organization }: Target, body: string, ...lines: string[]): string {
  const start = [`POST /webhooks/zoho-books/${organization} HTTP/1.1`, 'Host: localhost', 'Connection: close'];
  const proof = ['Content-Type: application/json', `X-Zoho-Webhook-Signature: ${sign(body)}`];
  return [...start, ...proof, ...lines, '', ''].join('\r\n');
}

/** Opens a socket, lets `talk` write, and reads until the other side closes. The last answer counts. */
export async function converse(
  { url }: Target,
  talk: string | Buffer | ((socket: net.Socket) => unknown),
): Promise<Answer> {
  const socket = connect(url);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  const closed = untilClosed(socket);
  await once(socket, 'connect');
  if (typeof talk === 'function') await talk(socket);
  else socket.write(talk);
  await closed;
  const status = Number([...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].at(-1)?.[1] ?? 0);
  return { status, headers: {}, text, sent: Buffer.alloc(0) };
}

/** A socket whose resets are no error: to be cut off is what many cases wait for. */
export function connect(url: string): net.Socket {
  const { hostname, port } = new URL(url);
  return net.connect({ host: hostname, port: Number(port) }).on('error', () => undefined);
}

/** Unlike events.once it does not throw for a socket that was reset. */
export function untilClosed(socket: net.Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

async function answerOf(response: Response, sent: Buffer): Promise<Answer> {
  const headers = Object.fromEntries(response.headers);
  return { status: response.status, headers, text: await response.text(), sent };
}

import { type Method, Refused, Transport, Unreachable } from './transport.ts';

const PATIENCE_MS = 60_000;

/** Talks to an API over HTTP, with the token of an operator. */
export function httpTransport(base: string, token: string | undefined): Transport {
  const call = async (method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> => {
    const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(body ? JSON_BODY : {}) };
    const init = { method, headers, redirect: 'error', ...(body ? { body: JSON.stringify(body) } : {}) } as const;
    return fetch(base + path, signal ? { ...init, signal } : init).catch((error) => {
      throw new Unreachable(`No answer from ${base} (${reasonOf(error)}). Is it running? TDS_URL says where it is.`);
    });
  };
  return new Transport({
    async send(method, path, body) {
      const response = await call(method, path, body, AbortSignal.timeout(PATIENCE_MS));
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
    async stream(path) {
      const response = await call('GET', path);
      const { status, headers, body } = response;
      if (status >= 400 || !body) throw new Refused({ status, headers, text: await response.text() });
      return body;
    },
    async close() {},
  });
}

const JSON_BODY = { 'content-type': 'application/json' };

function reasonOf(error: Error & { cause?: { code?: string; message?: string } }): string {
  return error.cause?.code ?? error.cause?.message ?? error.message;
}

/** One call of Zoho's API, within a time and a size. */
import { MAX_ANSWER_BYTES, type RawAnswer } from './answer.ts';
import { fromFetch, ZohoError } from './errors.ts';

type Call = {
  url: URL;
  token: string;
  /** Sent as JSON, by POST; absent: a GET. */
  json?: object | undefined;
  timeoutMs: number;
  signal?: AbortSignal | undefined;
};

/** Returns whatever was answered. Throws ZohoError `timeout` or `network`, or the signal's reason when aborted. */
export async function send({ url, token, json, timeoutMs, signal }: Call): Promise<RawAnswer> {
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await fetch(url, {
      headers: {
        ...{ authorization: `Zoho-oauthtoken ${token}`, accept: 'application/json' },
        ...(json && { 'content-type': 'application/json' }),
      },
      ...(json && { method: 'POST', body: JSON.stringify(json) }),
      // The token must not follow a redirect to another host.
      redirect: 'manual',
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    return { status: answer.status, headers: answer.headers, text: await bodyOf(answer, url.host) };
  } catch (thrown) {
    throw thrown instanceof ZohoError ? thrown : fromFetch(thrown, url.host, timeoutMs, signal);
  }
}

async function bodyOf(answer: Response, host: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES)
      throw new ZohoError('unreadable', `${host} answered with more than ${MAX_ANSWER_BYTES} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The one way out for webhooks: one request to one checked address, no redirects, an end to waiting. */
import dns from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import { isPrivateHost } from '../../config/values.ts';

export type Outgoing = {
  url: string;
  method?: 'POST' | 'GET';
  headers?: Record<string, string>;
  body?: string;
  /** ALERT_WEBHOOK_ALLOW_PRIVATE. */
  allowPrivate: boolean;
  /** From the first byte to the last, default 10,000. */
  timeoutMs?: number;
  /** For tests; default: the system's resolver. */
  resolve?: Resolve;
};

export type Resolve = (hostname: string) => Promise<dns.LookupAddress[]>;

const TIMEOUT_MS = 10_000;

/**
 * Sends one request; resolves on an answer of 2xx and throws an Error that says why not, without the address.
 * The name is resolved once and that answer is both checked and connected to: a name that changes its mind (DNS
 * rebinding) cannot lead into the local network. A redirect is a failure, because it would lead to an unchecked address.
 */
export async function post(outgoing: Outgoing): Promise<void> {
  const { url, method = 'POST', headers = {}, body, timeoutMs = TIMEOUT_MS } = outgoing;
  const target = new URL(url);
  refusePrivate(target.hostname, outgoing.allowPrivate);
  const { request } = target.protocol === 'https:' ? https : http;
  const status = await new Promise<number>((resolve, reject) => {
    const asked = request(target, { method, headers, agent: false, lookup: checkedLookup(outgoing) }, (answer) => {
      resolve(answer.statusCode ?? 0);
      // What it says is of no interest; reading on would let it hold us.
      answer.destroy();
    });
    const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    asked.on('error', reject);
    asked.on('close', () => clearTimeout(timer));
    asked.end(body);
  });
  if (status >= 300 && status < 400) throw new Error(`the receiver answered ${status}; redirects are not followed`);
  if (status < 200 || status > 299) throw new Error(`the receiver answered ${status}`);
}

function refusePrivate(host: string, allowPrivate: boolean): void {
  if (!allowPrivate && isPrivateHost(host))
    throw new Error('the address is one of this machine or of a private network (ALERT_WEBHOOK_ALLOW_PRIVATE)');
}

function checkedLookup({ allowPrivate, resolve = systemResolver }: Outgoing): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname)
      .then((addresses) => {
        for (const { address } of addresses) refusePrivate(address, allowPrivate);
        const [first] = addresses;
        if (!first) throw new Error('the name has no address');
        if (options.all) (callback as unknown as (error: null, all: dns.LookupAddress[]) => void)(null, addresses);
        else callback(null, first.address, first.family);
      })
      .catch((error: Error) => callback(error, '', 4));
  };
}

const systemResolver: Resolve = (hostname) => dns.promises.lookup(hostname, { all: true });

/** What can go wrong with a call of the stand-in, on request: the next calls of a path, or a share of all calls. */
import type http from 'node:http';
import type { Random } from '../faults/random.ts';

export type Fault =
  | 'minute-limit'
  | 'day-limit'
  | 'in-flight-limit'
  | 'error-500'
  | 'error-503'
  | 'html'
  | 'html-404'
  | 'unknown-path'
  | 'broken-json'
  | 'error-in-200'
  | 'missing-key'
  | 'unauthorized'
  | 'silence'
  | 'reset'
  | 'cut-short';

type Ordered = { fault: Fault; path: RegExp; times: number };

type Body = { status: number; type?: string; text: string };

const json = (status: number, body: unknown): Body => ({ status, text: JSON.stringify(body) });

const ANSWERS: Partial<Record<Fault, Body>> = {
  'minute-limit': json(429, {
    code: 44,
    message:
      'For security reasons your organization has been blocked as it have exceeded the maximum number of requests per minute that can originate from an organization.',
  }),
  'day-limit': json(429, {
    code: 45,
    message: 'The API call for this organization has exceeded the maximum call rate limit of 1000.',
  }),
  'in-flight-limit': json(429, {
    code: 1070,
    message: 'You have reached the maximum number of in process requests allowed. Kindly try again after some time.',
  }),
  'error-500': json(500, { code: 1000, message: 'Internal Error' }),
  'error-503': { status: 503, type: 'text/html', text: '<html><body>Service unavailable</body></html>' },
  html: { status: 200, type: 'text/html', text: '<html><body>We are improving Zoho Books</body></html>' },
  'html-404': { status: 404, type: 'text/html', text: '<html><body>404 Not Found</body></html>' },
  'unknown-path': json(404, { code: 5, message: 'Invalid URL Passed' }),
  'broken-json': { status: 200, text: '{"code":0,"message":"success","invoices":[{"invoice_id":' },
  'error-in-200': json(200, { code: 2, message: 'Invalid value passed' }),
  'missing-key': json(200, { code: 0, message: 'success', page_context: { page: 1, has_more_page: false } }),
  unauthorized: json(401, { code: 57, message: 'You are not authorized to perform this operation' }),
};

export class Faults {
  readonly #ordered: Ordered[] = [];
  #share: { probability: number; faults: readonly [Fault, ...Fault[]]; random: Random } | undefined;
  /** How often each fault has happened. */
  readonly happened: Fault[] = [];

  /** The next `times` calls whose path and query match get this answer. */
  next(fault: Fault, path: RegExp | string = /./, times = 1): void {
    this.#ordered.push({ fault, path: new RegExp(path), times });
  }

  /** From now on nothing goes wrong. */
  clear(): void {
    this.#ordered.length = 0;
    this.#share = undefined;
  }

  /** This share of all calls, from 0 to 1, meets one of these faults. */
  always(probability: number, faults: readonly [Fault, ...Fault[]], random: Random): void {
    this.#share = probability > 0 ? { probability, faults, random } : undefined;
  }

  /** The fault this call meets, if any. */
  of(url: string): Fault | undefined {
    const ordered = this.#ordered.find(({ path, times }) => times > 0 && path.test(url));
    if (ordered) ordered.times -= 1;
    const share = this.#share;
    const fault =
      ordered?.fault ?? (share?.random.chance(share.probability) ? share.random.pick(share.faults) : undefined);
    if (fault) this.happened.push(fault);
    return fault;
  }

  /** Does to a response what the fault says. */
  commit(fault: Fault, response: http.ServerResponse, headers: Record<string, string>): void {
    if (fault === 'silence') return;
    if (fault === 'reset') {
      response.socket?.resetAndDestroy();
      return;
    }
    if (fault === 'cut-short') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"code":0,');
      setImmediate(() => response.socket?.destroy());
      return;
    }
    const { status, type = 'application/json;charset=UTF-8', text } = ANSWERS[fault] ?? json(500, {});
    response.writeHead(status, { ...headers, 'content-type': type });
    response.end(text);
  }
}

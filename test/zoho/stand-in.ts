/** A stand-in for Zoho Books on loopback: accounts server, Books API and Inventory API in one real HTTP server. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Teardown } from '../helper.ts';
import { Accounts } from './accounts.ts';
import { Api, failure } from './api.ts';
import { Books } from './books.ts';
import { Faults } from './faults.ts';
import { type LimitOptions, Limits } from './limits.ts';

export type Request = { path: string; query: URLSearchParams };

export type StandInOptions = { organizationId?: string; limits?: Partial<LimitOptions>; books?: Books };

const BASES = { '/books/v3': 'books', '/inventory/v1': 'inventory' } as const;

export class StandIn {
  readonly organizationId: string;
  readonly books: Books;
  readonly api: Api;
  readonly accounts = new Accounts();
  readonly limits: Limits;
  readonly faults = new Faults();
  /** Calls of the API in the order they came, those that met a fault or a limit included. */
  readonly requests: Request[] = [];
  /** Each API call waits for this before it is answered: a slow network, or a gate that a test opens. */
  delay: (request: Request) => Promise<unknown> | undefined = () => undefined;
  readonly #server: http.Server;

  private constructor({ organizationId = '10234695', limits, books = new Books() }: StandInOptions) {
    this.organizationId = organizationId;
    this.books = books;
    this.api = new Api(books);
    this.api.organizations = [
      {
        organization_id: organizationId,
        name: 'Zillium Inc',
        time_zone: 'America/New_York',
        plan_name: 'Professional',
      },
    ];
    this.limits = new Limits(limits);
    this.#server = http.createServer((request, response) => void this.#serve(request, response));
  }

  /** Starts it on a free port; it stops at teardown. */
  static async start(t: Teardown, options: StandInOptions = {}): Promise<StandIn> {
    const standIn = new StandIn(options);
    await standIn.#listen();
    t.teardown(() => standIn.stop());
    return standIn;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Settings that make a process call the stand-in in place of Zoho. */
  get environment(): Record<string, string> {
    const { clientId, clientSecret, refreshToken } = this.accounts;
    return {
      ...{ ZOHO_ORGANIZATION_ID: this.organizationId, ZOHO_CLIENT_ID: clientId, ZOHO_CLIENT_SECRET: clientSecret },
      ...{ ZOHO_REFRESH_TOKEN: refreshToken, ZOHO_ACCOUNTS_URL: this.url },
      ...{ ZOHO_API_URL: `${this.url}/books/v3`, ZOHO_INVENTORY_API_URL: `${this.url}/inventory/v1` },
    };
  }

  /** How many calls of the API had a path (and query) like this. */
  count(pattern: RegExp): number {
    return this.requests.filter(({ path, query }) => pattern.test(`${path}?${query}`)).length;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.accounts.apiDomain = this.url;
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    // A caller that goes away in the middle is part of what is tested.
    response.on('error', () => {});
    if (url.pathname === '/oauth/v2/token') return this.#token(request, response);
    const [base, api] = Object.entries(BASES).find(([prefix]) => url.pathname.startsWith(`${prefix}/`)) ?? [];
    if (base === undefined || api === undefined) return send(response, failure(404, 5, 'Invalid URL Passed'));
    await this.#call(api, { path: url.pathname.slice(base.length), query: url.searchParams }, request, response);
  }

  async #token(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { status, body } = this.accounts.answer(new URLSearchParams(await textOf(request)));
    send(response, { status, text: JSON.stringify(body) });
  }

  async #call(
    api: 'books' | 'inventory',
    call: Request,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    this.requests.push(call);
    const code = this.limits.arrive();
    // Zoho counts a call as in process until it has answered, whether or not anybody still listens.
    response.once('close', () => this.limits.leave());
    await this.delay(call);
    const fault = code === undefined ? this.faults.of(`${call.path}?${call.query}`) : limitFault(code);
    if (fault) return this.faults.commit(fault, response, this.limits.headers);
    const body = request.method === 'POST' ? await bodyOf(request) : undefined;
    send(response, this.#answer(api, call, request.headers.authorization, body), this.limits.headers);
  }

  #answer(
    api: 'books' | 'inventory',
    { path, query }: Request,
    authorization: string | undefined,
    body: Record<string, unknown> | undefined,
  ) {
    if (!this.accounts.accepts(authorization))
      return failure(401, 57, 'You are not authorized to perform this operation');
    if (path !== '/organizations' && query.get('organization_id') !== this.organizationId)
      return failure(400, 6041, 'This user is not associated with the CompanyID/CompanyName:.');
    return body ? this.api.create(path, body) : this.api.answer(api, path, query);
  }
}

async function textOf(request: http.IncomingMessage): Promise<string> {
  return Buffer.concat(await request.toArray()).toString('utf8');
}

async function bodyOf(request: http.IncomingMessage): Promise<Record<string, unknown>> {
  return JSON.parse(await textOf(request));
}

function limitFault(code: 44 | 45 | 1070): 'minute-limit' | 'day-limit' | 'in-flight-limit' {
  return code === 44 ? 'minute-limit' : code === 45 ? 'day-limit' : 'in-flight-limit';
}

function send(
  response: http.ServerResponse,
  { status, text }: { status: number; text: string },
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { ...headers, 'content-type': 'application/json;charset=UTF-8' });
  response.end(text);
}

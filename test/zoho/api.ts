/** What the stand-in's API answers to a well-formed call: lists, records, several records at once, settings. */
import type { Books, Entry, Kind } from './books.ts';
import { SHAPES } from './render.ts';

export type ApiAnswer = { status: number; text: string };

/** Modules whose list heeds the filter last_modified_time; journals heed it as "equal to". */
const FILTERS = new Set<Kind>(['invoice', 'bill', 'salesorder', 'purchaseorder', 'vendorpayment', 'vendorcredit']);
const SORTS = new Set<Kind>(['contact', 'salesorder', 'vendorcredit']);
const INVENTORY = new Set<Kind>(['inventoryadjustment']);

export class Api {
  readonly books: Books;
  /** Filters are taken and not heeded, as Zoho does where they are not documented. */
  ignoresFilters = false;
  ignoresSorting = false;
  /** Calls for several records at once: there, not there, or answered with the list. */
  bulk: 'full' | 'unknown' | 'list' = 'full';
  /** Whether response_option=1 adds the total. */
  tellsTotals = true;
  /** A role that sees only its own records: lists hold no others, and theirs are "not authorized". */
  role: string | undefined;
  /** Whether the token's scopes cover what is asked; the default is that they do. */
  allows: (path: string) => boolean = () => true;
  organizations: Record<string, unknown>[] = [];
  user: Record<string, unknown> = { user_id: '1', name: 'Example User', email: 'user@example.com' };
  /** Why what is created is refused; the default is that it is not. */
  refuses: (path: string, body: Record<string, unknown>) => ApiAnswer | undefined = () => undefined;
  webhooks: Record<string, unknown>[] = [];
  workflows: Record<string, unknown>[] = [];
  retryPolicies: Record<string, unknown>[] = [];
  /** Called before a page is made: what it changes, the page shows. */
  onPage: (kind: Kind, page: number) => void = () => {};

  constructor(books: Books) {
    this.books = books;
  }

  answer(api: 'books' | 'inventory', path: string, query: URLSearchParams): ApiAnswer {
    if (!this.allows(path)) return failure(401, 57, 'You are not authorized to perform this operation');
    if (path === '/organizations') return this.#page('organizations', this.organizations, query);
    if (path === '/users/me') return success(`"user":${JSON.stringify(this.user)}`);
    if (path === '/settings/webhooks') return this.#page('webhooks', this.webhooks, query);
    if (path === '/settings/workflows') return this.#page('workflows', this.workflows.map(withoutActions), query);
    if (path.startsWith('/settings/workflows/')) return this.#workflow(path.slice('/settings/workflows/'.length));
    if (path === '/settings/retrypolicies') return this.#page('retry_policies', this.retryPolicies, query);
    if (path === '/itemdetails') return this.#bulk('item', query.get('item_ids') ?? '', query);
    for (const [kind, { path: listPath }] of Object.entries(SHAPES) as [Kind, { path: string }][]) {
      if (INVENTORY.has(kind) !== (api === 'inventory')) continue;
      const ids = query.get(`${kind}_ids`);
      if (path === listPath)
        return ids && this.bulk !== 'list' ? this.#bulk(kind, ids, query) : this.#list(kind, query);
      if (path.startsWith(`${listPath}/`))
        return this.#detail(kind, decodeURIComponent(path.slice(listPath.length + 1)));
    }
    return unknownPath();
  }

  /** Webhooks and workflow rules can be created; a name that is taken is refused, as Zoho does. */
  create(path: string, body: Record<string, unknown>): ApiAnswer {
    if (!this.allows(`POST ${path}`)) return failure(401, 57, 'You are not authorized to perform this operation');
    const refused = this.refuses(path, body);
    if (refused) return refused;
    if (path === '/settings/webhooks') return created(this.webhooks, 'webhook', body);
    if (path === '/settings/workflows') return created(this.workflows, 'workflow', { ...body, is_active: true });
    return unknownPath();
  }

  #list(kind: Kind, query: URLSearchParams): ApiAnswer {
    const page = positive(query, 'page', 1);
    const perPage = Math.min(200, positive(query, 'per_page', 200));
    this.onPage(kind, page);
    const entries = this.#sorted(kind, this.#filtered(kind, query), query);
    const rows = entries.slice((page - 1) * perPage, page * perPage);
    const context = {
      ...{ page, per_page: perPage, has_more_page: entries.length > page * perPage },
      ...{ report_name: kind, applied_filter: 'Status.All', sort_column: 'created_time', sort_order: 'D' },
      ...(this.tellsTotals && query.get('response_option') === '1' ? { total: entries.length } : {}),
    };
    const texts = rows.map((entry) => this.books.row(entry)).join(',');
    return success(`"${SHAPES[kind].listKey}":[${texts}],"page_context":${JSON.stringify(context)}`);
  }

  #filtered(kind: Kind, query: URLSearchParams): Entry[] {
    const visible = this.books.listed(kind).filter(({ owner }) => this.role === undefined || owner === this.role);
    const since = query.get('last_modified_time');
    if (since === null || this.ignoresFilters) return visible;
    const time = Date.parse(since) / 1000;
    if (kind === 'journal') return visible.filter(({ changedAt }) => changedAt === time);
    return FILTERS.has(kind) ? visible.filter(({ changedAt }) => changedAt >= time) : visible;
  }

  #sorted(kind: Kind, entries: Entry[], query: URLSearchParams): Entry[] {
    const byChange = query.get('sort_column') === 'last_modified_time' && SORTS.has(kind) && !this.ignoresSorting;
    if (!byChange) return entries.reverse();
    const direction = query.get('sort_order') === 'A' ? 1 : -1;
    return entries.sort((a, b) => direction * (a.changedAt - b.changedAt));
  }

  #detail(kind: Kind, id: string): ApiAnswer {
    const entry = this.books.find(kind, id);
    const name = `${kind[0]?.toUpperCase()}${kind.slice(1)}`;
    if (!entry || entry.deleted) return failure(404, 1002, `${name} does not exist.`);
    if (this.role !== undefined && entry.owner !== this.role)
      return failure(401, 57, 'You are not authorized to perform this operation');
    return success(`"${SHAPES[kind].detailKey}":${this.books.detail(entry)}`);
  }

  #bulk(kind: Kind, ids: string, query: URLSearchParams): ApiAnswer {
    if (this.bulk === 'unknown') return unknownPath();
    if (this.bulk === 'list') return this.#list(kind, query);
    const entries = ids.split(',').map((id) => this.books.find(kind, id));
    const live = entries.filter((entry) => entry !== undefined && !entry.deleted) as Entry[];
    const texts = live.map((entry) => this.books.detail(entry)).join(',');
    return success(`"${SHAPES[kind].listKey}":[${texts}]`);
  }

  #page(key: string, rows: unknown[], query: URLSearchParams): ApiAnswer {
    const context = { page: positive(query, 'page', 1), per_page: 200, has_more_page: false };
    return success(`"${key}":${JSON.stringify(rows)},"page_context":${JSON.stringify(context)}`);
  }

  /** The list of workflows says nothing of their actions; one alone does. */
  #workflow(id: string): ApiAnswer {
    const workflow = this.workflows.find(({ workflow_id }) => workflow_id === id);
    return workflow
      ? success(`"workflow":${JSON.stringify(workflow)}`)
      : failure(404, 1002, 'Workflow does not exist.');
  }
}

function created(list: Record<string, unknown>[], what: string, body: Record<string, unknown>): ApiAnswer {
  const [id, name] = [`${what}_id`, `${what}_name`];
  if (list.some((other) => other[name] === body[name])) return failure(400, 107051, 'The name is already used.');
  const made = { ...body, [id]: String(9_000_000 + list.length) };
  list.push(made);
  return { ...success(`"${what}":${JSON.stringify({ [id]: made[id] })}`), status: 201 };
}

function withoutActions({ instant_actions, ...listed }: Record<string, unknown>) {
  return listed;
}

export function failure(status: number, code: number, message: string): ApiAnswer {
  return { status, text: JSON.stringify({ code, message }) };
}

function success(members: string): ApiAnswer {
  return { status: 200, text: `{"code":0,"message":"success",${members}}` };
}

function unknownPath(): ApiAnswer {
  return failure(404, 5, 'Invalid URL Passed');
}

function positive(query: URLSearchParams, name: string, fallback: number): number {
  const value = Number(query.get(name) ?? fallback);
  return Number.isInteger(value) && value > 0 ? value : fallback;
}

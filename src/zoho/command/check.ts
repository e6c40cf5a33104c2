/** Reads from Zoho what announces changes: workflow rules, their webhooks, the policy for failed deliveries. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isObject } from '../../inbox/json-object.ts';
import type { Turn, ZohoClient } from '../client/client.ts';
import { ZohoError } from '../client/errors.ts';
import type { Rule, Webhook } from './rules.ts';

export const SCOPE = 'ZohoBooks.settings.READ';
export const TURN: Turn = { lane: 'refetch' };
/** Settings are throttled more tightly than records; seen in several projects. */
export const PACE_MS = 600;
const MAX_PAGES = 20;

/** Where Zoho lists its retry policies; the operation is documented, its path is taken from the others'. */
const RETRY_POLICIES = '/settings/retrypolicies';

type Fields = Record<string, unknown>;

export type Automation = {
  rules: Rule[];
  webhooks: Webhook[];
  /** How many policies repeat failed deliveries; null when they could not be read. */
  retryPolicies: number | null;
};

/** Reads all of it, at most some hundred calls. Throws ZohoError when rules or webhooks cannot be read. */
export async function readAutomation(client: ZohoClient, paceMs = PACE_MS): Promise<Automation> {
  const webhooks = (await listAll(client, '/settings/webhooks', 'webhooks', paceMs)).map(readWebhook);
  const listed = await listAll(client, '/settings/workflows', 'workflows', paceMs);
  const rules: Rule[] = [];
  for (const fields of listed) rules.push(readRule(await withActions(client, fields, paceMs)));
  return { rules, webhooks, retryPolicies: await countRetryPolicies(client, paceMs) };
}

async function listAll(client: ZohoClient, path: string, key: string, paceMs: number): Promise<Fields[]> {
  const all: Fields[] = [];
  for (let page = 1; page <= MAX_PAGES; page++) {
    const { body } = await client.get('books', path, { page: String(page), per_page: '200' }, TURN, SCOPE);
    const rows = body[key];
    if (!Array.isArray(rows)) throw new ZohoError('unreadable', `${path}: the answer has no list ${key}.`);
    all.push(...rows.filter(isObject));
    const context = isObject(body.page_context) ? body.page_context : {};
    await sleep(paceMs);
    if (context.has_more_page !== true) break;
  }
  return all;
}

/** The list leaves out what a rule does; the rule alone tells. */
async function withActions(client: ZohoClient, listed: Fields, paceMs: number): Promise<Fields> {
  if (Array.isArray(listed.instant_actions)) return listed;
  const path = `/settings/workflows/${encodeURIComponent(text(listed.workflow_id ?? listed.rule_id))}`;
  const { body } = await client.get('books', path, {}, TURN, SCOPE);
  await sleep(paceMs);
  const full = Object.values(body).find(isObject) ?? {};
  return { ...listed, ...full };
}

async function countRetryPolicies(client: ZohoClient, paceMs: number): Promise<number | null> {
  try {
    return (await listAll(client, RETRY_POLICIES, 'retry_policies', paceMs)).length;
  } catch (error) {
    if (error instanceof ZohoError && error.permanent) return null;
    if (error instanceof ZohoError && error.problem === 'unreadable') return null;
    throw error;
  }
}

/** What to do about the policy for failed deliveries, which has to be made by hand. */
export function retryAdvice(policies: number | null): string {
  const where = 'Settings > Automation > Workflow Logs';
  if (policies === null) return `could not be read: look at ${where}`;
  if (policies > 0) return 'ok';
  return `none: a delivery that fails is lost until the next pull; make one under ${where}`;
}

function readWebhook(fields: Fields): Webhook {
  return {
    id: text(fields.webhook_id),
    name: text(fields.webhook_name ?? fields.name),
    url: text(fields.url),
    method: text(fields.method ?? 'POST'),
    entity: text(fields.entity),
  };
}

function readRule(fields: Fields): Rule {
  const actions = Array.isArray(fields.instant_actions) ? fields.instant_actions.filter(isObject) : [];
  const { is_active, status, apply_rule_always: always } = fields;
  return {
    name: text(fields.workflow_name ?? fields.rule_name),
    entity: text(fields.entity),
    type: text(fields.rule_type),
    active: typeof is_active === 'boolean' ? is_active : text(status ?? 'active').toLowerCase() === 'active',
    always: typeof always === 'boolean' ? always : undefined,
    webhookIds: actions.filter(({ action_type }) => action_type === 'webhook').map(({ action_id }) => text(action_id)),
  };
}

/** A name or an id, whichever way Zoho writes it; empty for anything else. */
export function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

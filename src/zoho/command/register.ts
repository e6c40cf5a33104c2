/** Creates the workflow rules and webhooks that an organization lacks; Zoho Books has an API for both. */
import { createHash, randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';
import { isObject } from '../../inbox/json-object.ts';
import { recordAudit } from '../../monitor/audit.ts';
import type { ZohoClient } from '../client/client.ts';
import { ZohoError } from '../client/errors.ts';
import type { Organizations } from '../organizations/organizations.ts';
import { PACE_MS, readAutomation, retryAdvice, TURN, text } from './check.ts';
import { chosenModules, UsageError, withClients, withoutSlash } from './clients.ts';
import { byHand, ruleOf, type Wanted, type WebhookProof, wantedRules, webhookOf } from './registration.ts';

const SCOPE = 'ZohoBooks.settings.CREATE';
/** What Zoho takes for a webhook's secret. */
const USABLE_SECRET = /^[A-Za-z0-9]{12,50}$/;

export type RegisterOptions = {
  /** Address of the API as Zoho reaches it. */
  base?: string | undefined;
  organization?: string | undefined;
  modules?: string | undefined;
  /** Between two calls; default: as Zoho throttles its settings. */
  paceMs?: number;
};

/** What one organization has and lacks. */
export type Registration = {
  organization_id: string;
  method: 'POST';
  body: 'Default Payload';
  /** How each webhook proves itself, without the secret. */
  proof: string;
  rules: Wanted[];
  /** The policy for failed deliveries, which Zoho's API does not create. */
  retry_policy: string;
};

/**
 * Compares, and creates what is missing when `decide` says so. What Zoho refuses is left `by hand`; a missing scope, a
 * quota that is used up or a connection that fails ends it, and what is left stays `missing`: it may be repeated.
 */
export async function registerWebhooks(
  config: Config,
  options: RegisterOptions,
  decide: (registrations: Registration[]) => Promise<boolean>,
): Promise<Registration[]> {
  const base = baseOf(options.base);
  const modules = chosenModules(options.modules);
  return withClients(config, options.organization, async ({ db, clients, organizations }) => {
    const found: { client: ZohoClient; proof: WebhookProof; registration: Registration }[] = [];
    for (const client of clients) {
      const proof = proofFor(config, organizations, client.organizationId);
      found.push({ client, proof, registration: await compare(client, modules, base, proof, options.paceMs) });
    }
    const registrations = found.map(({ registration }) => registration);
    if (registrations.some(({ rules }) => rules.some(isMissing)) && (await decide(registrations)))
      for (const { client, proof, registration } of found)
        await createMissing(db, client, proof, registration, options.paceMs ?? PACE_MS);
    return registrations;
  });
}

function baseOf(given: string | undefined): string {
  const url = URL.parse(given ?? '');
  if (url && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '') return withoutSlash(url.href);
  throw new UsageError('at which address does Zoho reach this system? --base https://api.example.com/tds');
}

/** A secret is signed with by Zoho itself; the header is for `WEBHOOK_AUTH=both`, and where there is no secret. */
function proofFor(config: Config, organizations: Organizations, id: string): WebhookProof {
  const { webhookToken, webhookAuth } = config;
  const [secret] = organizations.secretsFor(id);
  const [token] = webhookToken;
  if (secret === undefined && token === undefined)
    throw new UsageError(
      'ZOHO_WEBHOOK_SECRET is not set: choose one first, such as the output of openssl rand -hex 24',
    );
  if (secret !== undefined && !USABLE_SECRET.test(secret))
    throw new UsageError(`Zoho takes a secret of 12 to 50 letters and digits, and that of organization ${id} is none`);
  const header = token !== undefined && (secret === undefined || webhookAuth === 'both');
  return {
    ...(secret !== undefined && { secret }),
    ...(header && { header: { param_name: 'X-Zoho-Webhook-Token', param_value: token } }),
  };
}

/** Says which secret, so that two can be told apart, and not the secret. */
function proofInWords({ secret, header }: WebhookProof): string {
  const sha256 = (value: string) => createHash('sha256').update(value).digest('hex').slice(0, 8);
  const signed =
    secret && `"I want to secure this webhook" with the webhook secret whose SHA-256 begins ${sha256(secret)}`;
  const sent =
    header && `header ${header.param_name} with the token whose SHA-256 begins ${sha256(header.param_value)}`;
  return [signed, sent].filter(Boolean).join(', and ');
}

async function compare(
  client: ZohoClient,
  modules: string[],
  base: string,
  proof: WebhookProof,
  paceMs?: number,
): Promise<Registration> {
  const { organizationId } = client;
  const { rules, webhooks, retryPolicies } = await readAutomation(client, paceMs);
  return {
    ...{ organization_id: organizationId, method: 'POST', body: 'Default Payload', proof: proofInWords(proof) },
    rules: wantedRules(modules, rules, webhooks, { base, organizationId }),
    retry_policy: retryAdvice(retryPolicies),
  };
}

async function createMissing(
  db: Database,
  client: ZohoClient,
  proof: WebhookProof,
  { organization_id: organizationId, rules }: Registration,
  paceMs: number,
): Promise<void> {
  for (const rule of rules.filter(isMissing)) {
    try {
      await create(client, rule, proof, paceMs);
      await recordCreated(db, organizationId, rule);
    } catch (error) {
      if (!(error instanceof ZohoError)) throw error;
      rule.problem = error.message;
      if (error.problem !== 'refused') return;
      rule.state = 'by hand';
    }
  }
}

async function create(client: ZohoClient, rule: Wanted, proof: WebhookProof, paceMs: number): Promise<void> {
  if (rule.webhook_id === null) {
    const { body } = await client.post('books', '/settings/webhooks', webhookOf(rule, proof), TURN, SCOPE);
    rule.webhook_id = idIn(body, 'webhook_id');
    await sleep(paceMs);
  }
  await client.post('books', '/settings/workflows', ruleOf(rule, rule.webhook_id), TURN, SCOPE);
  rule.state = 'created';
  await sleep(paceMs);
}

function idIn(body: Record<string, unknown>, name: string): string {
  const id = text(Object.values(body).find(isObject)?.[name]);
  if (id === '') throw new ZohoError('unreadable', `/settings/webhooks: the answer has no ${name}.`);
  return id;
}

async function recordCreated(db: Database, organizationId: string, { name, url, rule_type }: Wanted): Promise<void> {
  await recordAudit(db, {
    ...{ operator: userInfo().username, action: 'zoho.register_webhook', target: organizationId, result: 'created' },
    ...{ requestId: randomUUID(), detail: { name, url, rule_type } },
  });
}

function isMissing({ state }: Wanted): boolean {
  return state === 'missing';
}

/** What is left to do, a sentence or two each: what Zoho did not take, and why, and what to enter instead. */
export function leftToDo({ rules, proof, retry_policy }: Registration): string[] {
  const left = rules.filter(({ state }) => state === 'missing' || state === 'by hand');
  const retries = retry_policy === 'ok' ? [] : [`retry policy: ${retry_policy}`];
  return [...left.map((rule) => `${rule.problem ?? 'missing'}\n${byHand(rule, proof)}`), ...retries];
}

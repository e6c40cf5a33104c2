import type { FastifyReply, FastifyRequest } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { isCheckCallBody } from '../../inbox/body.ts';
import { type Parsed, parseDelivery } from '../../inbox/parse.ts';
import type { RejectionCounter } from '../../monitor/rejections.ts';
import { organizationsOf } from '../../zoho/organizations/organizations.ts';
import type { Api, Deps } from '../deps.ts';
import { refuseForeignCaller } from '../plugins/local-only.ts';
import { Problem } from '../problem.ts';
import { SchemaGate } from '../schema-gate.ts';
import { Uuid } from '../schemas.ts';
import { UnnamedOrganization } from '../unnamed-organization.ts';
import { keepRawBody } from '../webhook-body.ts';
import { factsOf } from '../webhook-facts.ts';
import { demandsProof, notAuthentic, proofOf, queryOf, WebhookProofs } from '../webhook-proof.ts';
import { WebhookRejections } from '../webhook-rejections.ts';

const Accepted = Type.Object({
  success: Type.Literal(true),
  event_id: Uuid,
  status: Type.Union([Type.Literal('queued'), Type.Literal('quarantined')]),
  duplicate: Type.Boolean({ description: 'This very delivery is already here: nothing new was stored.' }),
  reason: Type.Optional(Type.String({ description: 'Why it is quarantined.' })),
});
const Checked = Type.Object({ success: Type.Literal(true), message: Type.String() });

const SEGMENTS: Record<string, TSchema> = {
  organization_id: Type.String({ examples: ['10234695'] }),
  module: Type.String({ examples: ['invoice'] }),
  action: Type.String({ examples: ['updated'] }),
};
/** What the route remembers from one delivery to the next. */
type Parts = {
  gate: SchemaGate;
  unnamed: UnnamedOrganization;
  defaultOrganization: string;
  proofs: WebhookProofs;
  rejections: WebhookRejections;
};

type Hook = FastifyRequest<{ Params: { organization_id?: string; module?: string; action?: string } }>;

const EXAMPLE = { invoice: { invoice_id: '982000000567001', last_modified_time: '2026-10-31T10:00:00+0000' } };
const Body = {
  content: {
    'application/json': { schema: Type.Unknown({ examples: [EXAMPLE] }) },
    'application/x-www-form-urlencoded': {
      schema: Type.Unknown({ examples: [{ JSONString: JSON.stringify(EXAMPLE) }] }),
    },
  },
};

const PATHS = [
  '/webhooks/zoho-books',
  '/webhooks/zoho-books/:organization_id',
  '/webhooks/zoho-books/:organization_id/:module',
  '/webhooks/zoho-books/:organization_id/:module/:action',
];

/**
 * Deliveries of Zoho Books. The order is the protection: what the headers tell, size limit, proof over the raw bytes,
 * parse, store, commit, and only then 202. What is authentic is never answered with 4xx, because Zoho would not send it
 * again; the one exception is a query, which nobody can prove.
 */
export async function webhookRoutes(api: Api, deps: Deps, counter: RejectionCounter): Promise<void> {
  const { config } = deps;
  const organizations = organizationsOf(config);
  const proofs = new WebhookProofs(config, organizations);
  warnAtStart(deps, proofs.of(organizations.defaultId));
  const rejections = new WebhookRejections(config, proofs, counter);
  const parts = {
    ...{ gate: new SchemaGate(deps), unnamed: new UnnamedOrganization(deps), proofs, rejections },
    defaultOrganization: organizations.defaultId,
  };
  await api.register(async (scope) => {
    scope.addHook('onRequest', (request, _reply, done) => done(refusal(request, deps, proofs)));
    scope.addHook('onResponse', (request, reply, done) => {
      rejections.count(request, reply.statusCode);
      done();
    });
    keepRawBody(scope, deps, proofs);
    for (const url of PATHS) {
      scope.route({
        method: ['POST', 'PUT', 'DELETE'],
        url,
        bodyLimit: config.bodyLimit,
        config: { role: 'webhook' },
        schema: {
          tags: ['webhooks'],
          summary: 'Deliver a change of Zoho Books',
          description: 'JSON or form body, proved by X-Zoho-Webhook-Signature or X-Zoho-Webhook-Token.',
          ...paramsOf(url),
          body: Body,
          response: { 200: Checked, 202: Accepted },
        },
        handler: (request, reply) => receive(request as Hook, reply, deps, parts),
      });
    }
  });
}

function warnAtStart({ log }: Deps, config: ReturnType<WebhookProofs['of']>): void {
  const component = 'webhook';
  if (!demandsProof(config)) {
    log.warn({ component }, 'deliveries are accepted without proof: set ZOHO_WEBHOOK_SECRET');
  } else if (config.webhookToken.length === 0) {
    // The signature covers neither the path nor a time: whoever captures a delivery can send it to …/deleted.
    log.warn({ component }, 'a captured delivery could be replayed to another path: set ZOHO_WEBHOOK_TOKEN as well');
  } else if (config.webhookSecrets.length > 0 && config.webhookAuth === 'either') {
    log.warn({ component }, 'either proof is enough: set WEBHOOK_AUTH=both so that the token is demanded');
  }
}

function paramsOf(url: string): { params?: TSchema } {
  const names = [...url.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
  if (names.length === 0) return {};
  return { params: Type.Object(Object.fromEntries(names.map((name) => [name, SEGMENTS[name] ?? Type.String()]))) };
}

/** What the headers alone forbid. The query is refused for its own sake: see verifySignature(). */
function refusal(request: FastifyRequest, { config }: Deps, proofs: WebhookProofs): Error | undefined {
  if (queryOf(request) !== '' && config.webhookQuery === 'refuse') return unexpectedQuery();
  if (demandsProof(proofs.ofPath(request))) return undefined;
  try {
    refuseForeignCaller(request, config.host, 'ZOHO_WEBHOOK_SECRET');
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

async function receive(request: Hook, reply: FastifyReply, deps: Deps, parts: Parts): Promise<FastifyReply> {
  const { inbox } = deps;
  const { gate, unnamed, defaultOrganization, proofs, rejections } = parts;
  const body = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
  const contentType = request.headers['content-type'] ?? '';
  const proof = proofOf(request, body, proofs.ofPath(request));
  if (!proof.valid && isCheckCallBody(body, contentType)) return answerCheck(request, reply);
  if (!proof.valid) throw notAuthentic(request, rejections.examine(request, body));
  const input = { body, contentType, method: request.method, ...segmentsOf(request) };
  const parsed = parseDelivery({ ...input, defaultOrganization });
  if (parsed.kind === 'check') return answerCheck(request, reply);
  if (!isOfItsOrganization(request, body, parsed, proofs))
    throw notAuthentic(request, rejections.examine(request, body, 'other_organization'));
  rejections.accepted();

  await gate.demandCurrent();
  const path = pathOf(request);
  const userAgent = request.headers['user-agent'] ?? '';
  const stored = await inbox
    .accept({ parsed, body, contentType, method: request.method, path, userAgent, ip: request.ip })
    .catch((error) => gate.blame(error));
  request.facts = factsOf(parsed, stored, proof);
  unnamed.sawDelivery(parsed.kind === 'delivery' ? parsed.delivery : parsed);
  const { eventId: event_id, status, duplicate } = stored;
  const reason = parsed.kind === 'quarantine' ? { reason: parsed.reason } : {};
  return reply.code(202).send({ success: true, event_id, status, duplicate, ...reason });
}

/** The body may name another organization than the path: where it is to be stored decides whose secret it takes. */
function isOfItsOrganization(
  request: FastifyRequest,
  body: Buffer,
  parsed: Exclude<Parsed, { kind: 'check' }>,
  proofs: WebhookProofs,
): boolean {
  const { organizationId } = parsed.kind === 'delivery' ? parsed.delivery : parsed;
  return organizationId === proofs.organizationOf(request) || proofOf(request, body, proofs.of(organizationId)).valid;
}

/** Zoho signs key and value without anything between them: a captured delivery could be cut anew. */
function unexpectedQuery(): Problem {
  const detail =
    "Remove the query parameters from the webhook's URL, or set WEBHOOK_QUERY=allow. Parts of the path say what is meant.";
  return new Problem(400, 'unexpected_query', detail);
}

/** Zoho calls once when a webhook is saved, possibly unsigned: it wants a 2xx and is no event. */
function answerCheck(request: Hook, reply: FastifyReply): FastifyReply {
  request.facts = { outcome: 'check' };
  return reply.code(200).send({ success: true, message: 'Check call answered: nothing was stored' });
}

const MAX_SEGMENT = 100;
/** Stands for a segment that is too long: nothing can be meant by it, and the delivery is quarantined. */
const MEANINGLESS = '\0';

function segmentsOf({ params }: Hook) {
  const { organization_id: organizationId, module, action } = params;
  const bounded = (segment?: string) => (segment && segment.length > MAX_SEGMENT ? MEANINGLESS : segment);
  return { organizationId: bounded(organizationId), module: bounded(module), action: bounded(action) };
}

const MAX_PATH = 1000;

function pathOf(request: Hook): string {
  return request.url.split('?', 1)[0]?.slice(0, MAX_PATH) ?? '';
}

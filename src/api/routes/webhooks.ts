import type { FastifyReply, FastifyRequest } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { type Parsed, parseDelivery } from '../../inbox/parse.ts';
import type { Api, Deps } from '../deps.ts';
import { Problem } from '../problem.ts';
import { Uuid } from '../schemas.ts';
import { type Proof, proofOf } from '../webhook-proof.ts';

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
// Longer bodies are never a check call, so an unsigned flood is not even parsed.
const LONGEST_CHECK_CALL = 256;

/**
 * Deliveries of Zoho Books. The order is the protection: size limit, proof over the raw bytes, parse, store, commit,
 * and only then 202. What is authentic is never answered with 4xx, because Zoho would not send it again.
 */
export async function webhookRoutes(api: Api, deps: Deps): Promise<void> {
  const { config, log } = deps;
  if (config.webhookSecrets.length === 0 && config.webhookToken.length === 0) {
    log.warn({ component: 'webhook' }, 'webhooks are accepted without proof: set ZOHO_WEBHOOK_SECRET');
  }
  await api.register(async (scope) => {
    keepRawBody(scope);
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
        handler: (request, reply) => receive(request as Hook, reply, deps),
      });
    }
  });
}

function paramsOf(url: string): { params?: TSchema } {
  const names = [...url.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
  if (names.length === 0) return {};
  return { params: Type.Object(Object.fromEntries(names.map((name) => [name, SEGMENTS[name] ?? Type.String()]))) };
}

async function receive(request: Hook, reply: FastifyReply, { config, inbox }: Deps): Promise<FastifyReply> {
  const proof = proofOf(request, config);
  if (!proof.valid && bodyOf(request).length > LONGEST_CHECK_CALL) throw notAuthentic(request);

  const parsed = parseDelivery({ ...described(request), defaultOrganization: config.defaultOrganization });
  if (parsed.kind === 'check') return answerCheck(request, reply);
  if (!proof.valid) throw notAuthentic(request);

  const stored = await inbox.accept({ parsed, ...described(request), userAgent: userAgent(request), ip: request.ip });
  request.facts = factsOf(parsed, stored, proof);
  const { eventId: event_id, status, duplicate } = stored;
  const reason = parsed.kind === 'quarantine' ? { reason: parsed.reason } : {};
  return reply.code(202).send({ success: true, event_id, status, duplicate, ...reason });
}

/** The same for a missing, a wrong and a truncated proof: an attacker learns nothing from it. */
function notAuthentic(request: Hook): Problem {
  request.facts = { outcome: 'rejected', bytes: bodyOf(request).length };
  const detail = 'The delivery does not prove that Zoho Books sent it. Compare its secret with ZOHO_WEBHOOK_SECRET.';
  return new Problem(401, 'not_authentic', detail, { 'www-authenticate': 'ZohoSignature' });
}

/** Zoho calls once when a webhook is saved, possibly unsigned: it wants a 2xx and is no event. */
function answerCheck(request: Hook, reply: FastifyReply): FastifyReply {
  request.facts = { outcome: 'check' };
  return reply.code(200).send({ success: true, message: 'Check call answered: nothing was stored' });
}

function factsOf(
  parsed: Exclude<Parsed, { kind: 'check' }>,
  stored: { eventId: string; duplicate: boolean; status: string },
  proof: Proof,
): Record<string, unknown> {
  const { organizationId, module, entityId } = parsed.kind === 'delivery' ? parsed.delivery : parsed;
  return {
    outcome: stored.duplicate ? 'duplicate' : stored.status,
    event_id: stored.eventId,
    organization_id: organizationId,
    module,
    entity_id: entityId,
    proof: proof.by,
    reason: parsed.kind === 'quarantine' ? parsed.reason : undefined,
  };
}

function described(request: Hook) {
  const { organization_id: organizationId, module, action } = request.params;
  const path = request.url.split('?', 1)[0] ?? '';
  const contentType = request.headers['content-type'] ?? '';
  return { body: bodyOf(request), contentType, method: request.method, path, organizationId, module, action };
}

function userAgent(request: Hook): string {
  return request.headers['user-agent'] ?? '';
}

function bodyOf(request: Hook): Buffer {
  return (request.body as Buffer | undefined) ?? Buffer.alloc(0);
}

/** The proof is over the bytes as sent: nothing may parse or decompress them before. Other types: 415. */
function keepRawBody(scope: Api): void {
  scope.removeAllContentTypeParsers();
  // The schemas only describe: parseDelivery() judges what arrives, and refuses nothing that is authentic.
  scope.setValidatorCompiler(() => () => true);
  const types = /^application\/(json|x-www-form-urlencoded|[\w.-]+\+json) *(;|$)/i;
  scope.addContentTypeParser(types, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  scope.addHook('preParsing', (request, _reply, payload, done) => {
    const encoding = request.headers['content-encoding'] ?? 'identity';
    done(encoding === 'identity' ? null : compressed(), payload);
  });
}

function compressed(): Problem {
  const detail = 'Send the body uncompressed: it is verified before anything else is done with it.';
  return new Problem(415, 'unsupported_encoding', detail, { 'accept-encoding': 'identity', connection: 'close' });
}

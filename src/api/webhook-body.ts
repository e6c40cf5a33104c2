import type { FastifyRequest, RequestPayload } from 'fastify';
import { LONGEST_CHECK_CALL } from '../inbox/body.ts';
import type { Api, Deps } from './deps.ts';
import { Problem } from './problem.ts';
import { causeByHeaders, mayBeAuthentic, notAuthentic, type WebhookProofs } from './webhook-proof.ts';

/** The proof is over the bytes as sent: nothing may parse or decompress them before. Other types: 415. */
export function keepRawBody(scope: Api, { config }: Deps, proofs: WebhookProofs): void {
  scope.removeAllContentTypeParsers();
  // The schemas only describe: parseDelivery() judges what arrives, and refuses nothing that is authentic.
  scope.setValidatorCompiler(() => () => true);
  const types = /^application\/(json|x-www-form-urlencoded|[\w.-]+\+json) *(;|$)/i;
  scope.addContentTypeParser(types, (request: FastifyRequest, payload: RequestPayload) =>
    rawBody(scope, request, payload, { bodyLimit: config.bodyLimit, proofs }),
  );
  scope.addHook('preParsing', (request, _reply, payload, done) => {
    const encoding = request.headers['content-encoding'] ?? 'identity';
    done(encoding === 'identity' ? null : compressed(), payload);
  });
}

/** Whoever cannot be authentic may send no more than a check call needs, and is refused before a byte is read. */
async function rawBody(
  scope: Api,
  request: FastifyRequest,
  payload: RequestPayload,
  { bodyLimit, proofs }: { bodyLimit: number; proofs: WebhookProofs },
) {
  const demanded = proofs.ofPath(request);
  const announced = Number(request.headers['content-length'] ?? 0);
  if (mayBeAuthentic(request, demanded) || announced > bodyLimit) {
    return scope.bodies.read(request, payload, { limit: bodyLimit, hasProof: true });
  }
  const cause = causeByHeaders(request, demanded);
  if (announced > LONGEST_CHECK_CALL) throw notAuthentic(request, { cause, bytes: announced });
  const limits = { limit: LONGEST_CHECK_CALL, hasProof: false };
  return scope.bodies.read(request, payload, limits).catch((problem) => {
    throw problem.status === 413 ? notAuthentic(request, { cause, bytes: undefined }) : problem;
  });
}

function compressed(): Problem {
  const detail = 'Send the body uncompressed: it is verified before anything else is done with it.';
  return new Problem(415, 'unsupported_encoding', detail, { 'accept-encoding': 'identity', connection: 'close' });
}

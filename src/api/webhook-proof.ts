import type { FastifyRequest } from 'fastify';
import type { Config } from '../config.ts';
import { usableId } from '../inbox/ids.ts';
import { withoutLeftovers } from '../inbox/leftovers.ts';
import { isSignature, type SignedRequest, verifySignature, verifyToken } from '../inbox/signature.ts';
import { type RejectionCause, whyRejected } from '../inbox/why-rejected.ts';
import type { Organizations } from '../zoho/organizations/organizations.ts';
import { Problem } from './problem.ts';

export type Proof = {
  valid: boolean;
  /** For the log: which proof was accepted. `secret_2` means that the sender still uses the previous secret. */
  by: string;
};

type ProofSettings = Pick<Config, 'webhookSecrets' | 'webhookToken' | 'webhookAuth'>;

/** What a delivery of each organization has to prove: its own secrets, or those that all share. */
export class WebhookProofs {
  readonly #config: Config;
  readonly #organizations: Organizations;

  constructor(config: Config, organizations: Organizations) {
    this.#config = config;
    this.#organizations = organizations;
  }

  of(organizationId: string): ProofSettings {
    return { ...this.#config, webhookSecrets: this.#organizations.secretsFor(organizationId) };
  }

  /** Of the organization that the path is for. */
  ofPath(request: FastifyRequest): ProofSettings {
    return this.of(this.organizationOf(request));
  }

  /** The organization that the path names, else the default one. A body may name another. */
  organizationOf({ params }: FastifyRequest): string {
    const { organization_id: segment = '' } = (params ?? {}) as { organization_id?: string };
    return usableId(withoutLeftovers(segment)) ?? this.#organizations.defaultId;
  }

  /** Whether the secret of any organization signed it. Costs as much as verifying it does, for each of them. */
  isOfAnyOrganization(request: FastifyRequest, body: Buffer): boolean {
    const secrets = this.#organizations.list.flatMap(({ id }) => this.#organizations.secretsFor(id));
    return matchingSecret(request, body, [...new Set(secrets)]) >= 0;
  }
}

/** Whether deliveries are demanded to prove anything. Without a secret and a token only this machine may deliver. */
export function demandsProof({ webhookSecrets, webhookToken }: ProofSettings): boolean {
  return webhookSecrets.length > 0 || webhookToken.length > 0;
}

/**
 * Whether the headers alone leave it possible that a delivery is authentic: asked before its body is read, so that
 * somebody without a secret costs next to nothing.
 */
export function mayBeAuthentic(request: FastifyRequest, config: ProofSettings): boolean {
  if (!demandsProof(config)) return true;
  const signed = config.webhookSecrets.length > 0 && isSignature(signatureOf(request));
  const token = matchingToken(request, config.webhookToken) >= 0;
  return config.webhookAuth === 'both' ? signed && token : signed || token;
}

/**
 * Whether a delivery proves itself: by Zoho's signature over the raw body, by the shared-secret header, or, with
 * WEBHOOK_AUTH=both, by both. Nothing configured (allowed on loopback only): everything is valid.
 */
export function proofOf(request: FastifyRequest, body: Buffer, config: ProofSettings): Proof {
  const { webhookSecrets, webhookToken, webhookAuth } = config;
  if (!demandsProof(config)) return { valid: true, by: 'nothing' };
  const secret = matchingSecret(request, body, webhookSecrets);
  const token = matchingToken(request, webhookToken);
  const valid = webhookAuth === 'both' ? secret >= 0 && token >= 0 : secret >= 0 || token >= 0;
  return { valid, by: secret >= 0 ? `secret_${secret + 1}` : `token_${token + 1}` };
}

function matchingSecret(request: FastifyRequest, body: Buffer, secrets: string[]): number {
  return verifySignature(signedRequest(request, body, secrets));
}

function signedRequest(request: FastifyRequest, body: Buffer, secrets: string[]): SignedRequest {
  const contentType = request.headers['content-type'] ?? '';
  return { header: signatureOf(request), query: queryOf(request), contentType, body, secrets };
}

/** Why a delivery is refused whose body was read. */
export function causeOf(
  request: FastifyRequest,
  body: Buffer,
  config: ProofSettings & Pick<Config, 'webhookOldSecrets'>,
): RejectionCause {
  const byHeaders = causeByHeaders(request, config);
  if (byHeaders !== 'wrong_secret') return byHeaders;
  return whyRejected(signedRequest(request, body, config.webhookSecrets), config.webhookOldSecrets) ?? 'wrong_token';
}

/** The same as far as the headers tell: `wrong_secret` when there is a signature that may be wrong. */
export function causeByHeaders(request: FastifyRequest, config: ProofSettings): RejectionCause {
  const header = signatureOf(request);
  const token = single(request.headers['x-zoho-webhook-token']);
  if (config.webhookSecrets.length === 0) return 'wrong_token';
  if (isSignature(header)) return 'wrong_secret';
  if (header) return 'malformed_signature';
  return token === undefined || matchingToken(request, config.webhookToken) >= 0 ? 'no_signature' : 'wrong_token';
}

function signatureOf({ headers }: FastifyRequest): string | undefined {
  return single(headers['x-zoho-webhook-signature']);
}

function matchingToken({ headers }: FastifyRequest, tokens: string[]): number {
  return verifyToken(single(headers['x-zoho-webhook-token']), tokens);
}

/** The query string without its `?`; '' when there is none. */
export function queryOf({ url }: FastifyRequest): string {
  const start = url.indexOf('?');
  return start < 0 ? '' : url.slice(start + 1);
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

/** What is known of a delivery that is refused. */
type Refused = { cause: RejectionCause; bytes: number | undefined; sha256?: string };

/** The same for a missing, a wrong and a truncated proof: an attacker learns nothing from it. The log says more. */
export function notAuthentic(request: FastifyRequest, refused: Refused): Problem {
  request.facts = { outcome: 'rejected', ...refused };
  const detail = 'The delivery does not prove that Zoho Books sent it. Compare its secret with ZOHO_WEBHOOK_SECRET.';
  return new Problem(401, 'not_authentic', detail, { 'www-authenticate': 'ZohoSignature' });
}

import type { FastifyRequest } from 'fastify';
import type { Config } from '../config.ts';
import { verifySignature, verifyToken } from '../inbox/signature.ts';

export type Proof = {
  valid: boolean;
  /** For the log: which proof was accepted. `secret_2` means that the sender still uses the previous secret. */
  by: string;
};

/**
 * Whether a delivery proves itself: by Zoho's signature over the raw body, by the shared-secret header, or, with
 * WEBHOOK_AUTH=both, by both. Nothing configured (allowed on loopback only): everything is valid.
 */
export function proofOf(request: FastifyRequest, config: Config): Proof {
  const { webhookSecrets, webhookToken, webhookAuth } = config;
  if (webhookSecrets.length === 0 && webhookToken.length === 0) return { valid: true, by: 'nothing' };
  const secret = matchingSecret(request, webhookSecrets);
  const token = matchingToken(request, webhookToken);
  const valid = webhookAuth === 'both' ? secret >= 0 && token >= 0 : secret >= 0 || token >= 0;
  return { valid, by: secret >= 0 ? `secret_${secret + 1}` : `token_${token + 1}` };
}

function matchingSecret(request: FastifyRequest, secrets: string[]): number {
  return verifySignature({
    header: single(request.headers['x-zoho-webhook-signature']),
    query: queryOf(request.url),
    contentType: request.headers['content-type'] ?? '',
    body: (request.body as Buffer | undefined) ?? Buffer.alloc(0),
    secrets,
  });
}

function matchingToken(request: FastifyRequest, tokens: string[]): number {
  return verifyToken(single(request.headers['x-zoho-webhook-token']), tokens);
}

function queryOf(url: string): string {
  const start = url.indexOf('?');
  return start < 0 ? '' : url.slice(start + 1);
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

import { isSignature, type SignedRequest, verifySignature } from './signature.ts';

/** Why a delivery was refused, as far as we can tell. */
export const REJECTION_CAUSES = {
  no_signature: 'It carries no signature.',
  malformed_signature: 'Its signature is not 64 hexadecimal digits.',
  wrong_secret: 'No secret that we know gives this signature: it was signed with another one, or the body was changed.',
  right_without_query: 'The signature is right without the query: the sender does not sign it, so nobody can trust it.',
  other_organization: 'It was signed with the secret of another organization than the one it is for.',
  old_secret: 'It was signed with a secret that is no longer accepted: set the new one in Zoho Books.',
  wrong_token: 'Its token is missing or wrong.',
  not_examined: 'Its signature is wrong; so many came at once that nobody looked at why.',
  too_large: 'It is larger than WEBHOOK_BODY_LIMIT.',
  wrong_type: 'It is neither JSON nor a form, or it is compressed.',
  unexpected_query: 'Its URL has query parameters, and WEBHOOK_QUERY is refuse.',
} as const;

export type RejectionCause = keyof typeof REJECTION_CAUSES;

/**
 * Why the signature of a request is not accepted; undefined when it is. Costs as much again as verifying it does, for
 * each of the things that are tried: callers bound how often.
 * @param oldSecrets secrets that are no longer accepted
 */
export function whyRejected(request: SignedRequest, oldSecrets: readonly string[]): RejectionCause | undefined {
  if (request.header === undefined || request.header === '') return 'no_signature';
  if (!isSignature(request.header)) return 'malformed_signature';
  if (verifySignature(request) >= 0) return undefined;
  if (request.query !== '' && verifySignature({ ...request, query: '' }) >= 0) return 'right_without_query';
  return verifySignature({ ...request, secrets: oldSecrets }) >= 0 ? 'old_secret' : 'wrong_secret';
}

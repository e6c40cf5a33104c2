/** Standard Webhooks signatures (standardwebhooks.com, specification 1.0). */
import { createHmac } from 'node:crypto';

/**
 * The headers of one attempt. `secrets` are current and, while it is being changed, previous: the receiver accepts
 * either signature. Without a secret there is no signature. The id is the same for every attempt.
 */
export function webhookHeaders(
  id: string,
  body: string,
  secrets: readonly Buffer[],
  now: Date,
): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1000));
  const signatures = secrets.map(
    (secret) => `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`,
  );
  return {
    'content-type': 'application/json',
    'user-agent': 'tds-core',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'idempotency-key': id,
    ...(signatures.length > 0 ? { 'webhook-signature': signatures.join(' ') } : {}),
  };
}

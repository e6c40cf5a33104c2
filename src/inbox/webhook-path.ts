/** The segments of a webhook's URL, decoded; what is absent is left out. */
export type WebhookSegments = { organizationId?: string; module?: string; action?: string };

const BASE = '/webhooks/zoho-books';

/** `/webhooks/zoho-books[/{organization_id}[/{module}[/{action}]]]` in parts. A segment that cannot be decoded stays as it is. */
export function splitWebhookPath(path: string): WebhookSegments {
  const [organizationId, module, action] = path.slice(BASE.length).split('/').slice(1).map(decoded);
  return { ...(organizationId && { organizationId }), ...(module && { module }), ...(action && { action }) };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

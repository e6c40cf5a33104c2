import { type Delivery, type DeliveryInput, type Parsed, parseDelivery } from '../../src/inbox/parse.ts';

export const form = 'application/x-www-form-urlencoded;charset=UTF-8';

export type Request = Partial<Omit<DeliveryInput, 'body'>>;

/** Parses a body (bytes, text, or an object to be written as JSON) as if it came by POST as JSON, unless told otherwise. */
export function parse(body: unknown, request: Request = {}): Parsed {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return parseDelivery({
    body: bytes,
    contentType: 'application/json',
    method: 'POST',
    defaultOrganization: 'default',
    ...request,
  });
}

/** The delivery a body makes; throws when it makes none. */
export function deliver(body: unknown, request?: Request): Delivery {
  const parsed = parse(body, request);
  if (parsed.kind !== 'delivery') throw new Error(`not a delivery: ${JSON.stringify(parsed)}`);
  return parsed.delivery;
}

/** The quarantine a body ends in; throws when it does not. */
export function quarantine(body: unknown, request?: Request) {
  const parsed = parse(body, request);
  if (parsed.kind !== 'quarantine') throw new Error(`not quarantined: ${JSON.stringify(parsed)}`);
  return parsed;
}

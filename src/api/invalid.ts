import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { EXAMPLE_UUID, UUID } from './schemas.ts';

/** An error of Fastify's validation: what ajv found, and where (`querystring`, `params`, `body`). */
export type Invalid = Error & { validation: FastifySchemaValidationError[]; validationContext?: string };

export function isInvalid(error: Error): error is Invalid {
  return Array.isArray((error as Partial<Invalid>).validation);
}

const PLACES: Record<string, string> = { querystring: 'the query parameter', params: "the path's", body: 'the member' };

/**
 * What is wrong with a request, as a sentence that names the values that are allowed. The value itself is never
 * repeated: it may be a token or a person's data.
 */
export function describeInvalid({ validation, validationContext }: Invalid): string {
  const [first] = validation;
  if (!first) return 'Correct the request.';
  const name = first.instancePath.slice(1).replaceAll('/', '.');
  const what = name ? `${PLACES[validationContext ?? ''] ?? ''} ${name}`.trim() : `the ${validationContext}`;
  return `Correct ${what}: it ${demandOf(first)}.`;
}

function demandOf({ keyword, params, message }: FastifySchemaValidationError): string {
  switch (keyword) {
    case 'enum':
      return `must be one of ${allowed(params.allowedValues)}`;
    case 'pattern':
    case 'format':
      return isForUuid(params) ? `must be a plain uuid, such as ${EXAMPLE_UUID}` : (message ?? 'is not valid');
    case 'type':
      return params.type === 'object' ? 'must be a JSON object, as docs shows it' : (message ?? 'is not valid');
    default:
      return message ?? 'is not valid';
  }
}

function isForUuid({ pattern, format }: Record<string, unknown>): boolean {
  return pattern === UUID.source || format === 'uuid';
}

/** Values that differ only in case are told once, in small letters. */
function allowed(values: unknown): string {
  const texts = Array.isArray(values) ? values.map((value) => String(value).toLowerCase()) : [];
  return [...new Set(texts)].join(', ');
}

import { Value } from 'typebox/value';
import type { Workflows } from './registry.ts';
import type { Json, WorkflowDefinition } from './workflow.ts';

/** What is wrong with a request for a run: a stable code and, in `detail`, a sentence that says what to do. */
export type Refusal = { code: 'unknown_workflow' | 'unknown_organization' | 'invalid_payload'; detail: string };

/** A request that may be started or planned. `payload` is what will be stored, with `organization_id`. */
export type Request = { definition: WorkflowDefinition; organizationId: string; payload: { [key: string]: Json } };

const MAX_PAYLOAD_BYTES = 65_536;

/** Checks the name and the payload of a run. Without `organization_id` it is for the default organization. */
export function validateRequest(
  workflows: Workflows,
  defaultOrganization: string,
  name: string,
  payload: unknown,
): Request | { refusal: Refusal } {
  const definition = workflows.find(name);
  if (!definition) return refuse('unknown_workflow', workflows.unknown(name));
  if (!isObject(payload)) return refuse('invalid_payload', 'Send payload as a JSON object, such as {}.');
  const organizationId = payload.organization_id ?? defaultOrganization;
  if (typeof organizationId !== 'string' || organizationId === '')
    return refuse('invalid_payload', 'Send payload.organization_id as a string: ids are strings.');
  const wrong = problemOf(definition, payload);
  if (wrong !== undefined) return refuse('invalid_payload', wrong);
  const { organizations } = workflows;
  if (organizations && !organizations.includes(organizationId))
    return refuse('unknown_organization', unknownOrganization(organizations));
  return { definition, organizationId, payload: { organization_id: organizationId, ...(payload as object) } };
}

function refuse(code: Refusal['code'], detail: string): { refusal: Refusal } {
  return { refusal: { code, detail } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unknownOrganization(organizations: readonly string[]): string {
  if (organizations.length === 0) return 'No organization is connected to Zoho Books: see docs/zoho-books.md.';
  return `payload.organization_id must be one that is connected: ${organizations.join(', ')}.`;
}

type Invalid = ReturnType<typeof Value.Errors>[number];

/** The definition's schema need not name organization_id: that is always allowed. */
function problemOf({ payload: schema }: WorkflowDefinition, payload: Record<string, unknown>): string | undefined {
  const { organization_id: _, ...rest } = payload;
  const properties = (schema as { properties?: object }).properties ?? {};
  const checked = 'organization_id' in properties ? payload : rest;
  const [error] = Value.Errors(schema, checked);
  if (error) return describe(error, Object.keys(properties));
  const text = JSON.stringify(payload);
  if (text.length > MAX_PAYLOAD_BYTES) return `Send a smaller payload: at most ${MAX_PAYLOAD_BYTES} characters.`;
  // What jsonb cannot store; written as an escape, a backslash before it aside.
  if (/\\u0000|\\ud[89a-f]/i.test(text)) return 'Remove NUL characters and halves of surrogate pairs from the payload.';
  return undefined;
}

function describe({ keyword, params, message, instancePath }: Invalid, known: string[]): string {
  const member = `payload${instancePath.replaceAll('/', '.')}`;
  const { allowedValues } = params as { allowedValues?: unknown[] };
  // A member that the schema does not know meets the schema "false".
  if (keyword === 'boolean')
    return `Remove ${member}: the payload may have ${[...new Set(['organization_id', ...known])].join(', ')}.`;
  if (keyword === 'enum') return `Correct ${member}: it must be one of ${allowedValues?.join(', ')}.`;
  return `Correct ${member}: it ${message}.`;
}

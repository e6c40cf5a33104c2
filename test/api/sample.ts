/** A value that a schema accepts, so that a test can call every operation of the API's description. */
export type JsonSchema = {
  const?: unknown;
  enum?: unknown[];
  examples?: unknown[];
  default?: unknown;
  anyOf?: JsonSchema[];
  type?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  minLength?: number;
  minItems?: number;
  minimum?: number;
};

/** The schema's own example, default or choice; else the smallest value of its type. */
export function sampleOf(schema: JsonSchema): unknown {
  const stated = [schema.const, schema.enum?.[0], schema.examples?.[0], schema.default].find(
    (one) => one !== undefined,
  );
  if (stated !== undefined) return stated;
  if (schema.anyOf) return sampleOf(schema.anyOf[0] as JsonSchema);
  return SMALLEST[schema.type ?? 'object']?.(schema);
}

const SMALLEST: Record<string, (schema: JsonSchema) => unknown> = {
  object: ({ properties = {}, required = [] }) =>
    Object.fromEntries(required.map((name) => [name, sampleOf(properties[name] ?? {})])),
  array: ({ items = {}, minItems = 0 }) => Array.from({ length: minItems }, () => sampleOf(items)),
  string: ({ minLength = 1 }) => 'x'.repeat(minLength),
  integer: ({ minimum = 1 }) => minimum,
  number: ({ minimum = 1 }) => minimum,
  boolean: () => false,
};

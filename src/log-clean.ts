/** What may enter a log line: no secrets, no payload values inside database errors, nothing JSON cannot print. */

const MAX_DEPTH = 6;
const MAX_STRING = 8000;
const REDACTED = '[redacted]';

/** Matches the end of a key, whatever its style: `Set-Cookie`, `x-zoho-webhook-signature`, `refreshToken`. */
const SECRET_KEY = /(authorization|cookie|signature|token|secret|password|api[_-]?key)s?$/i;

/** Credentials inside a URL: everything between `//` and `@`. */
const URL_CREDENTIALS = /\/\/[^/\s:@]*:[^/\s@]*@/g;

/** The part of an e-mail address before the `@`, wherever it stands: in a key, an id or a library's message. */
const MAILBOX = /(?<![\w.+-])[\w.+-]+(?=@|%40)/g;

/**
 * The properties of an error worth a line. A list of what stays, because PostgreSQL's `detail`, `where` and
 * `internalQuery` quote row values, and other libraries attach whole requests.
 */
const ERROR_FIELDS = ['code', 'tag', 'status', 'statusCode', 'severity', 'schema', 'table', 'column', 'constraint'];

/** Copies the metadata of a line into something safe to print. Never throws. */
export function cleanMetadata(metadata: Record<string, unknown>): Record<string, unknown> {
  return cleanObject(metadata, 0, []);
}

function clean(value: unknown, depth: number, parents: object[]): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (parents.includes(value)) return '[circular]';
  if (depth >= MAX_DEPTH) return '[too deep]';
  return cleanContainer(value, depth + 1, [...parents, value]);
}

function cleanContainer(value: object, depth: number, parents: object[]): unknown {
  if (value instanceof Error) return cleanError(value, depth, parents);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.map((item) => clean(item, depth, parents));
  if (value instanceof Map || value instanceof Set) return `[${value.size} entries]`;
  return cleanObject(value, depth, parents);
}

function cleanObject(value: object, depth: number, parents: object[]): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const field = property(value, key);
    // A boolean or a count under such a name tells no secret: `has_token: true`.
    const hide = SECRET_KEY.test(key) && (typeof field === 'string' || (typeof field === 'object' && field !== null));
    copy[key] = hide ? REDACTED : clean(field, depth, parents);
  }
  return copy;
}

function cleanError(error: Error, depth: number, parents: object[]): Record<string, unknown> {
  const copy: Record<string, unknown> = { type: property(error, 'name'), message: cleanText(String(error.message)) };
  for (const field of ERROR_FIELDS) {
    const value = property(error, field);
    if (value !== undefined) copy[field] = clean(value, depth, parents);
  }
  const stack = property(error, 'stack');
  if (typeof stack === 'string') copy.stack = cleanText(stack);
  const cause = property(error, 'cause');
  if (cause !== undefined) copy.cause = clean(cause, depth, parents);
  return copy;
}

function cleanText(text: string): string {
  const cut = text.length > MAX_STRING ? `${text.slice(0, MAX_STRING)}… (${text.length} characters)` : text;
  const withoutCredentials = cut.includes('//') ? cut.replace(URL_CREDENTIALS, `//${REDACTED}@`) : cut;
  return mayHoldAddress(cut) ? withoutCredentials.replace(MAILBOX, REDACTED) : withoutCredentials;
}

function mayHoldAddress(text: string): boolean {
  return text.includes('@') || text.includes('%40');
}

function property(object: object, key: string): unknown {
  try {
    return (object as Record<string, unknown>)[key];
  } catch {
    return '[unreadable]';
  }
}

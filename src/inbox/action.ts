const synonyms = new Map<string, string>([
  ...['created', 'create', 'add', 'added', 'new', 'insert', 'inserted'].map((name) => [name, 'created'] as const),
  ...['updated', 'update', 'edit', 'edited', 'modified', 'changed'].map((name) => [name, 'updated'] as const),
  ...['deleted', 'delete', 'remove', 'removed'].map((name) => [name, 'deleted'] as const),
]);

/** Spellings that say "created or updated": the record's times decide. */
const eitherWay = new Set(['upsert', 'upserted', 'addedit', 'save', 'saved', 'createorupdate']);

/** What a spelling of an action means: a label, 'either' (created or updated), or null when it is no usable label. */
export function readAction(spelling: string): string | null {
  const label = spelling.trim().toLowerCase();
  const plain = label.replace(/[-_]/g, '');
  if (eitherWay.has(plain)) return 'either';
  return synonyms.get(plain) ?? (/^[a-z0-9_-]{1,64}$/.test(label) ? label : null);
}

/** What the body itself says happened, in members integrators add; `module` names a module, `label` is as spelled. */
export type BodyEvent = { module: string | null; label: string | null };

/** Reads `"event": "invoice.updated"` and its variants, or `"module": "invoice"`. Zoho itself sends neither. */
export function readBodyEvent(fields: Record<string, unknown>): BodyEvent {
  const event = fields.event ?? fields.event_type ?? fields.event_name;
  const parts = typeof event === 'string' ? /^\s*([\w-]{1,64})[.:/]([\w-]{1,64})\s*$/.exec(event) : null;
  if (parts !== null) return { module: parts[1] ?? null, label: parts[2] ?? null };
  return { module: typeof fields.module === 'string' ? fields.module : null, label: null };
}

/** The action that the request itself states, in its URL or by DELETE; null when only the record can tell. */
export function explicitAction(path: string | undefined, method: string): string | null {
  const stated = path ? readAction(path) : null;
  if (stated !== null) return stated === 'either' ? null : stated;
  return !path && method.toUpperCase() === 'DELETE' ? 'deleted' : null;
}

/**
 * The action of an event: as the request states it, else the body's own word, else what the record's times say.
 * Never `deleted` on the word of a body: a snapshot that mentions a deletion must not become one.
 */
export function chooseAction(path: string | undefined, method: string, said: string | null, byTimes: string): string {
  const explicit = explicitAction(path, method);
  if (explicit !== null) return explicit;
  const label = path || said === null ? null : readAction(said);
  return label === null || label === 'either' || label === 'deleted' ? byTimes : label;
}

import {
  type BooksModule,
  isUnmirroredKey,
  keyFitsModule,
  moduleFromKey,
  moduleFromPath,
} from '../zoho/modules/modules.ts';
import { transportKeys } from './body.ts';
import { isObject, type JsonObject, readObject, sourceOf } from './json-object.ts';
import { firstOwnIdField, hasForeignId, ownerByIds, ownerByReference, whichPayment } from './owner.ts';
import { showableName, Unusable } from './unusable.ts';

/** The record inside a body and the module it belongs to. */
export type Unwrapped = { module: BooksModule; record: JsonObject };

/** What the surroundings say the module is: the URL decides, the body's own event name only helps. */
export type Expectation = { path: BooksModule | null; bodyEvent: string | null };

/** `{"payload": {"data": {"invoice": {…}}}}` is the deepest wrapping anybody configures. */
const MAX_ENVELOPES = 2;

/**
 * Finds the record in a body: under a key of its module, as the body itself, or inside an envelope. Returns null when
 * there is none that we know. Throws Unusable when the body contradicts the URL or holds several records.
 */
export function unwrap(body: JsonObject, expected: Expectation, envelopes = MAX_ENVELOPES): Unwrapped | null {
  for (const module of likelyModules(body, expected)) {
    const found = underKeyOf(module, body) ?? flat(module, body);
    if (found !== null) return found;
  }
  if (expected.path === null && isOfUnknownModule(body)) return null;
  return underKnownKey(body, expected.path) ?? inEnvelope(body, expected, envelopes) ?? referredContact(body);
}

/** The name a body gives to a module that we do not know, for the operator; null when it gives none. */
export function unknownModuleName(body: JsonObject): string | null {
  const key = envelopeKey(body);
  if (key === undefined || moduleFromKey(key) !== undefined) return null;
  if (!isTransportKey(key)) return key;
  const inner = objectUnder(body, key);
  return inner && unknownModuleName(inner);
}

/** The object inside an envelope, or the body itself when it has an id of its own or is no envelope. */
export function innermost(body: JsonObject): JsonObject {
  const key = firstOwnIdField(body.fields) === undefined ? envelopeKey(body) : undefined;
  const inner = key === undefined ? null : objectUnder(body, key);
  return inner === null ? body : innermost(inner);
}

function likelyModules(body: JsonObject, { path, bodyEvent }: Expectation): BooksModule[] {
  if (path !== null) return [path];
  const said = bodyEvent === null ? undefined : moduleFromPath(bodyEvent);
  const named = said && whichPayment(said, bodyEvent ?? '', body.fields);
  return [named, ownerByIds(body.fields)].filter((module) => module !== undefined && module !== null);
}

function underKeyOf(module: BooksModule, body: JsonObject): Unwrapped | null {
  for (const key of keysHolding(body, (name) => keyFitsModule(name, module))) {
    const record = objectUnder(body, key);
    if (record === null) continue;
    refuseRecordsBeside(body, key);
    return { module, record };
  }
  return null;
}

/** A record that nobody looks at must not be answered as if it had been accepted. */
function refuseRecordsBeside(body: JsonObject, taken: string): void {
  const others = Object.keys(body.fields).filter((key) => key !== taken && holdsRecord(body, key));
  if (others.length > 0) throw new Unusable(severalRecords([taken, ...others]));
}

function holdsRecord(body: JsonObject, key: string): boolean {
  const module = moduleFromKey(key);
  if (module === undefined && !isTransportKey(key)) return false;
  return objectsIn(body.fields[key]).some((fields) => {
    if (module !== undefined) return hasOwnId(module, fields);
    return ownerByIds(fields) !== null || Object.keys(fields).some((inner) => hasRecordOf(inner, fields[inner]));
  });
}

function hasRecordOf(key: string, value: unknown): boolean {
  const module = moduleFromKey(key);
  return module !== undefined && objectsIn(value).some((fields) => hasOwnId(module, fields));
}

function objectsIn(value: unknown): Record<string, unknown>[] {
  if (Array.isArray(value)) return value.filter(isObject);
  if (isObject(value)) return [value];
  try {
    return isJsonText(value) ? [readObject(value).fields] : [];
  } catch {
    return []; // broken text is no record
  }
}

function severalRecords(keys: string[]): string {
  const names = keys.map((key) => showableName(key) ?? 'another').join(', ');
  return `the body holds several records (${names}); send one record per call`;
}

function flat(module: BooksModule, body: JsonObject): Unwrapped | null {
  return hasOwnId(module, body.fields) ? { module, record: body } : null;
}

function hasOwnId(module: BooksModule, fields: Record<string, unknown>): boolean {
  return module.idFields.some((field) => ['string', 'number'].includes(typeof fields[field]));
}

/** Other modules' records carry our ids as references, so a body that is one must not be searched for ours. */
function isOfUnknownModule(body: JsonObject): boolean {
  return hasForeignId(body.fields) || keysHolding(body, isUnmirroredKey).length > 0;
}

function underKnownKey(body: JsonObject, path: BooksModule | null): Unwrapped | null {
  const keys = keysHolding(body, (key) => moduleFromKey(key) !== undefined || isUnmirroredKey(key));
  const [key] = keys;
  if (key === undefined) return null;
  if (path !== null && !keyFitsModule(key, path)) {
    const held = moduleFromKey(key)?.name ?? showableName(key) ?? 'another module';
    throw new Unusable(`the URL says ${path.name} but the body holds ${held}; correct the module in the webhook's URL`);
  }
  if (keys.length > 1) throw new Unusable(severalRecords(keys));
  refuseRecordsBeside(body, key);
  return recordUnder(body, key);
}

function recordUnder(body: JsonObject, key: string): Unwrapped | null {
  const record = objectUnder(body, key);
  const module = moduleFromKey(key);
  if (record === null) {
    const name = module?.name ?? showableName(key) ?? 'the body';
    throw new Unusable(`${name} holds more than one record; send one record per call`);
  }
  return module === undefined ? null : { module: whichPayment(module, key, record.fields), record };
}

function inEnvelope(body: JsonObject, expected: Expectation, envelopes: number): Unwrapped | null {
  const key = envelopeKey(body);
  if (key === undefined || envelopes === 0) return null;
  const inner = objectUnder(body, key);
  if (inner !== null) refuseRecordsBeside(body, key);
  return inner && unwrap(inner, expected, envelopes - 1);
}

function envelopeKey(body: JsonObject): string | undefined {
  const [transport] = keysHolding(body, isTransportKey);
  if (transport !== undefined) return transport;
  const holders = Object.keys(body.fields).filter((key) => isObject(body.fields[key]));
  return holders.length === 1 ? holders[0] : undefined;
}

function referredContact(body: JsonObject): Unwrapped | null {
  const contact = ownerByReference(body.fields);
  return contact && flat(contact, body);
}

/** The object under a key, whether it stands there plainly, as an array of one, or as JSON text; null otherwise. */
function objectUnder(outer: JsonObject, key: string): JsonObject | null {
  const value = outer.fields[key];
  if (isJsonText(value)) return readObject(value);
  const text = sourceOf(outer, key) ?? '';
  const { needsSanitising } = outer;
  if (isObject(value)) return { text, fields: value, needsSanitising };
  if (!Array.isArray(value) || value.length !== 1 || !isObject(value[0])) return null;
  return { text: text.slice(1, -1).trim(), fields: value[0], needsSanitising };
}

/** Keys of a kind under which one or more objects stand. */
function keysHolding(body: JsonObject, isOfKind: (key: string) => boolean): string[] {
  return Object.keys(body.fields).filter((key) => holdsObjects(body.fields[key]) && isOfKind(key));
}

function holdsObjects(value: unknown): boolean {
  return isObject(value) || isJsonText(value) || (Array.isArray(value) && value.some(isObject));
}

function isJsonText(value: unknown): value is string {
  return typeof value === 'string' && value.trimStart().startsWith('{');
}

function isTransportKey(key: string): boolean {
  return transportKeys.includes(key);
}

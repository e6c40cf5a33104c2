import { type BooksModule, moduleFromPath } from '../zoho/modules.ts';
import { type BodyEvent, chooseAction, explicitAction, readAction, readBodyEvent } from './action.ts';
import { bodyText, isCheckCall } from './body.ts';
import { idIn, recordId, usableId } from './ids.ts';
import { type JsonObject, readObject } from './json-object.ts';
import { withoutLeftovers } from './leftovers.ts';
import { firstOwnIdField } from './owner.ts';
import { sanitise } from './scan.ts';
import { Unusable } from './unusable.ts';
import { innermost, type Unwrapped, unknownModuleName, unwrap } from './unwrap.ts';
import { readVersioning } from './version.ts';

export type DeliveryInput = {
  body: Buffer;
  contentType: string;
  method: string;
  /** Segments of the webhook's URL, decoded; an empty one counts as absent. */
  organizationId?: string;
  module?: string;
  action?: string;
  /** Organization of deliveries that name none. */
  defaultOrganization: string;
};

/** One Zoho Books record as a webhook delivered it. */
export type Delivery = {
  organizationId: string;
  module: string;
  entityId: string;
  action: string;
  eventType: string;
  /** When the record last changed, as the body says; not bounded by the clock. */
  version: Date | null;
  versioned: boolean;
  /** The record's own JSON text as sent, except that what jsonb refuses is replaced by U+FFFD. */
  record: string;
  /** Something was replaced in `record`. */
  sanitised: boolean;
  /** The body only points at the record (no content, or no version): not to be mirrored as it stands. */
  partial: boolean;
};

export type Parsed =
  | { kind: 'delivery'; delivery: Delivery }
  | { kind: 'check' }
  | ({ kind: 'quarantine'; reason: string } & Identified);

/** What could be read of a delivery before it turned out unusable, for the operator. */
type Identified = { organizationId: string; module: string | null; action: string | null; entityId: string | null };

/**
 * Turns an authentic request into a delivery, Zoho's check call, or a quarantine with the reason and what to do about
 * it. Pure; never throws for any input. Where a key is repeated in the JSON, the last one wins.
 */
export function parseDelivery(request: DeliveryInput): Parsed {
  const input = withCleanSegments(request);
  const known: Identified = {
    organizationId: usableId(input.organizationId ?? '') ?? input.defaultOrganization,
    module: moduleFromPath(input.module ?? '')?.name ?? usableId(input.module ?? ''),
    action: explicitAction(input.action, input.method),
    entityId: null,
  };
  try {
    const text = bodyText(input.body, input.contentType);
    if (isCheckCall(text)) return { kind: 'check' };
    return { kind: 'delivery', delivery: readDelivery(input, readObject(text), known) };
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    return { kind: 'quarantine', reason: error.message, ...known };
  }
}

/** Zoho can leave a `?` or `&` at the end of the configured URL; an empty segment is none. */
function withCleanSegments(input: DeliveryInput): DeliveryInput {
  const clean = (segment?: string) => withoutLeftovers(segment ?? '') || undefined;
  const { organizationId, module, action } = input;
  return { ...input, organizationId: clean(organizationId), module: clean(module), action: clean(action) };
}

/** Fills `known` as it goes, so that a quarantine keeps whatever was read before the fault. */
function readDelivery(input: DeliveryInput, body: JsonObject, known: Identified): Delivery {
  const said = readBodyEvent(body.fields);
  known.organizationId = organization(input, body);
  const { module, record } = findRecord(input, body, said, known);
  known.module = module.name;
  known.organizationId = organization(input, body, record);
  known.entityId = recordId(record, module);
  requireUsablePath(input);
  const { version, versioned, label } = readVersioning(record.fields);
  const action = chooseAction(input.action, input.method, said.label, label);
  return {
    organizationId: known.organizationId,
    module: module.name,
    entityId: known.entityId ?? noId(module),
    action,
    eventType: `${module.name}.${action}`,
    version,
    versioned,
    record: record.needsSanitising ? sanitise(record.text) : record.text,
    sanitised: record.needsSanitising,
    partial: version === null || !hasContent(record),
  };
}

function organization(input: DeliveryInput, ...objects: JsonObject[]): string {
  const inPath = usableId(input.organizationId ?? '');
  if (inPath !== null) return inPath;
  const inBody = objects.map((object) => idIn(object, 'organization_id')).find((id) => id !== null);
  return inBody ?? input.defaultOrganization;
}

function findRecord(input: DeliveryInput, body: JsonObject, said: BodyEvent, known: Identified): Unwrapped {
  const path = moduleFromPath(input.module ?? '') ?? null;
  const found = path === null && input.module !== undefined ? null : unwrap(body, { path, bodyEvent: said.module });
  if (found !== null) return found;
  const record = innermost(body);
  known.entityId = likelyId(record);
  if (path !== null)
    throw new Unusable(
      `no id: the body holds no ${path.name} with its ${path.idFields[0]}; add it to the webhook's body`,
    );
  // Only the URL's own word is repeated: a key of the body may be somebody's e-mail address.
  const reason = unknownModule(known.module);
  known.module ??= plainName(unknownModuleName(body) ?? said.module);
  throw new Unusable(reason);
}

function unknownModule(inPath: string | null): string {
  const name = plainName(inPath);
  const what = name === null ? 'unknown module: the body holds none that is mirrored' : `unknown module '${name}'`;
  return `${what}; name its module in the webhook's URL, such as /webhooks/zoho-books/{organization_id}/invoice`;
}

/** A word as modules are called, or null: anything else may be data that somebody put where a name belongs. */
function plainName(text: string | null): string | null {
  return text !== null && /^[a-z][a-z_-]{0,39}$/i.test(text) ? text : null;
}

function noId(module: BooksModule): never {
  throw new Unusable(`no id: the ${module.name} has no usable ${module.idFields[0]}; add it to the webhook's body`);
}

/** A segment that cannot be understood must not be passed over: it may have been meant as `deleted`. */
function requireUsablePath(input: DeliveryInput): void {
  if (input.organizationId !== undefined && usableId(input.organizationId) === null) {
    throw new Unusable("the URL's organization id cannot be used; correct the webhook's URL");
  }
  if (input.action !== undefined && readAction(input.action) === null) {
    throw new Unusable("the URL's action cannot be used; end the webhook's URL in created, updated, upsert or deleted");
  }
}

/** The id of a record whose module we do not know. */
function likelyId(record: JsonObject): string | null {
  const field = firstOwnIdField(record.fields);
  return field === undefined ? null : idIn(record, field);
}

/** Members that say which record it is and what happened, but nothing about it. */
const POINTERS = /_id$|_time$|^(event|event_type|event_name|module)$/;

function hasContent(record: JsonObject): boolean {
  return Object.keys(record.fields).some((key) => !POINTERS.test(key));
}

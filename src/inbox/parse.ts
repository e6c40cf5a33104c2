import { type BooksModule, hasFullRecordFields, moduleFromPath } from '../zoho/modules/modules.ts';
import { type BodyEvent, chooseAction, explicitAction, readAction, readBodyEvent } from './action.ts';
import { bodyText, isCheckCall } from './body.ts';
import { idIn, MAX_ID_LENGTH, recordId, usableId } from './ids.ts';
import { type JsonObject, readObject } from './json-object.ts';
import { withoutLeftovers } from './leftovers.ts';
import { ownIdFieldNamedAfter } from './owner.ts';
import { sanitise } from './scan.ts';
import { showableName, Unusable } from './unusable.ts';
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
  /** False: neither the URL nor the body names an organization, so that the default one was taken. */
  organizationNamed: boolean;
  module: string;
  entityId: string;
  action: string;
  eventType: string;
  /** When the record last changed, as the body says; not bounded by the clock. */
  version: Date | null;
  versioned: boolean;
  /** The field that should say when the record last changed and cannot be read; null when there is none. */
  unreadableTime: string | null;
  /** The record's own JSON text as sent, except that what jsonb refuses is replaced by U+FFFD. */
  record: string;
  /** Something was replaced in `record`. */
  sanitised: boolean;
  /** The body has no version, or lacks fields that every full record of its module has: the mirror treats it as a hint. */
  partial: boolean;
};

export type Parsed =
  | { kind: 'delivery'; delivery: Delivery }
  | { kind: 'check' }
  | ({ kind: 'quarantine'; reason: string } & Identified);

/** What could be read of a delivery before it turned out unusable, for the operator. */
type Identified = {
  organizationId: string;
  organizationNamed: boolean;
  module: string | null;
  action: string | null;
  entityId: string | null;
};

/**
 * Turns an authentic request into a delivery, Zoho's check call, or a quarantine with the reason and what to do about
 * it. Pure; never throws for any input. Where a key is repeated in the JSON, the last one wins. A reason names no value,
 * and a key or a segment of the URL only when it looks like the name of a module.
 */
export function parseDelivery(request: DeliveryInput): Parsed {
  const input = withCleanSegments(request);
  const known: Identified = {
    ...organization(input),
    module: moduleFromPath(input.module ?? '')?.name ?? showableName(input.module),
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

/**
 * Zoho can leave a `?` or `&` at the end of the configured URL; an empty segment is none. A segment longer than any id is
 * left as it is, cut: no sender gets us to search through more, and it stays unusable.
 */
function withCleanSegments(input: DeliveryInput): DeliveryInput {
  const clean = (segment = '') => {
    if (segment.length > MAX_ID_LENGTH) return segment.slice(0, MAX_ID_LENGTH + 1);
    return withoutLeftovers(segment) || undefined;
  };
  const { organizationId, module, action } = input;
  return { ...input, organizationId: clean(organizationId), module: clean(module), action: clean(action) };
}

/** Fills `known` as it goes, so that a quarantine keeps whatever was read before the fault. */
function readDelivery(input: DeliveryInput, body: JsonObject, known: Identified): Delivery {
  const said = readBodyEvent(body.fields);
  Object.assign(known, organization(input, body));
  const { module, record } = findRecord(input, body, said, known);
  known.module = module.name;
  Object.assign(known, organization(input, body, record));
  known.entityId = recordId(record, module);
  requireUsablePath(input);
  const { version, versioned, unreadableTime, label } = readVersioning(record.fields);
  const action = chooseAction(input.action, input.method, said.label, label);
  return {
    organizationId: known.organizationId,
    organizationNamed: known.organizationNamed,
    module: module.name,
    entityId: known.entityId ?? noId(module),
    action,
    eventType: `${module.name}.${action}`,
    version,
    versioned,
    unreadableTime,
    record: record.needsSanitising ? sanitise(record.text) : record.text,
    sanitised: record.needsSanitising,
    partial: version === null || !hasFullRecordFields(module, record.fields),
  };
}

type Organization = Pick<Identified, 'organizationId' | 'organizationNamed'>;

function organization(input: DeliveryInput, ...objects: JsonObject[]): Organization {
  const inBody = () => objects.map((object) => idIn(object, 'organization_id')).find((id) => id !== null);
  const named = usableId(input.organizationId ?? '') ?? inBody();
  return { organizationId: named ?? input.defaultOrganization, organizationNamed: named !== undefined };
}

function findRecord(input: DeliveryInput, body: JsonObject, said: BodyEvent, known: Identified): Unwrapped {
  const path = moduleFromPath(input.module ?? '') ?? null;
  const found = path === null && input.module !== undefined ? null : unwrap(body, { path, bodyEvent: said.module });
  if (found !== null) return found;
  if (path !== null)
    throw new Unusable(
      `no id: the body holds no ${path.name} with its ${path.idFields[0]}; add it to the webhook's body`,
    );
  known.module ??= showableName(unknownModuleName(body) ?? said.module);
  known.entityId = likelyId(innermost(body), known.module);
  throw new Unusable(unknownModule(known.module));
}

function unknownModule(name: string | null): string {
  const what = name === null ? 'the body holds no record of a mirrored module' : `unknown module '${name}'`;
  return `${what}; name its module in the webhook's URL, such as /webhooks/zoho-books/{organization_id}/invoice`;
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

/**
 * The id of a record whose module we do not know: digits, in a field named after the module. Other ids (`email_id`,
 * `tax_id`) say who somebody is, and would be shown in lists and logs.
 */
function likelyId(record: JsonObject, module: string | null): string | null {
  const field = ownIdFieldNamedAfter(module, record.fields);
  const id = field === undefined ? null : idIn(record, field);
  return id !== null && /^\d+$/.test(id) ? id : null;
}

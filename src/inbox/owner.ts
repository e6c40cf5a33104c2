import {
  type BooksModule,
  booksModules,
  isUnmirroredKey,
  keyFitsModule,
  moduleNamed,
  spelling,
} from '../zoho/modules/modules.ts';

type Fields = Record<string, unknown>;

const contact = moduleNamed('contact');
const vendorPayment = moduleNamed('vendorpayment');

/** Ids that never say whose record it is: references that many modules share, and what integrators add about a call. */
const neutralIds = new Set([
  ...['organization_id', 'customer_id', 'vendor_id', 'group_id'],
  ...['event_id', 'webhook_id', 'delivery_id', 'request_id', 'workflow_id', 'rule_id', 'message_id', 'correlation_id'],
]);

/** The record's first id that is not neutral: Zoho writes a record's own id first. Undefined when it has none. */
export function firstOwnIdField(fields: Fields): string | undefined {
  return Object.keys(fields).find((key) => key.endsWith('_id') && !neutralIds.has(key));
}

/**
 * The id field of a record of a module that we do not know: `widget_id` of a `widget`, or that of a module of Zoho's which
 * the mirror does not hold. Undefined when there is none.
 */
export function ownIdFieldNamedAfter(module: string | null, fields: Fields): string | undefined {
  return Object.keys(fields).find((key) => {
    if (!key.endsWith('_id')) return false;
    const name = key.slice(0, -'_id'.length);
    return isUnmirroredKey(name) || (module !== null && spelling(name) === spelling(module));
  });
}

/** The module whose record this is, judged by its ids alone; null when they do not say, or name no module we know. */
export function ownerByIds(fields: Fields): BooksModule | null {
  if (hasForeignId(fields)) return null;
  const owner = booksModules.find((module) => ownIdFields(module).some((field) => isFilled(fields[field])));
  return owner === undefined ? null : whichPayment(owner, 'payment', fields);
}

/** A body whose only ids are a customer's or a vendor's is that contact. */
export function ownerByReference(fields: Fields): BooksModule | null {
  const refers = isFilled(fields.customer_id) || isFilled(fields.vendor_id);
  return refers && firstOwnIdField(fields) === undefined ? contact : null;
}

/** Whether the record's own id is none of ours: then the ids it also carries are references to our modules. */
export function hasForeignId(fields: Fields): boolean {
  const field = firstOwnIdField(fields);
  return field !== undefined && !booksModules.some((module) => ownIdFields(module).includes(field));
}

/** Settles `payment`, the name both kinds of payment go by: only one to a vendor carries a vendor's id. */
export function whichPayment(module: BooksModule, name: string, fields: Fields): BooksModule {
  const undecided = keyFitsModule(name, module) && keyFitsModule(name, vendorPayment);
  return undecided && isFilled(fields.vendor_id) ? vendorPayment : module;
}

/** customer_id and vendor_id identify a contact only where nothing else is identified. */
function ownIdFields(module: BooksModule): readonly string[] {
  return module === contact ? ['contact_id'] : module.idFields;
}

function isFilled(value: unknown): boolean {
  return typeof value === 'string' ? value.trim() !== '' : typeof value === 'number' && value !== 0;
}

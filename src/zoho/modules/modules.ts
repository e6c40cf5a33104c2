/** How an incremental pull finds what changed since its mark (the answer differs per module; Zoho documents it unevenly). */
export type PullStrategy =
  | 'filter' // the list accepts last_modified_time
  | 'sorted-scan' // the list sorts by last_modified_time: newest first, stop below the mark
  | 'full-scan'; // neither: read every page and compare

/** Everything this system knows about one Zoho Books module. */
export type BooksModule = {
  /** Canonical name: the first half of every event type. */
  name: string;
  /** Keys under which a webhook wraps the record, singular; case, `-`, `_` and a plural `s` are ignored when matching. */
  wrapperKeys: readonly string[];
  /** Further spellings allowed in a webhook's URL. */
  pathAliases: readonly string[];
  /** Names of the record's own id, the API's first; the others appear in hand-written templates. */
  idFields: readonly [string, ...string[]];
  /** Fields of every full record beside its id and version: some of them are in no list row and no short template. */
  fullRecordFields: readonly string[];
  /** Path below the API's base, list key and detail key of its answers. */
  listPath: string;
  listKey: string;
  detailKey: string;
  pullStrategy: PullStrategy;
};

/**
 * The table of modules, in order of derivation: a document carries the ids of the documents it was made from (an
 * invoice its sales order's, a payment its invoice's), so among several ids in one record the first module here owns it.
 * Facts from Zoho's API v3 reference and recorded answers; pull strategies are "filter" only where the filter is
 * documented (journals' filter behaves as equality, so they are scanned). Full record fields are those that every detail
 * answer of the reference has, whatever the country and the edition.
 */
export const booksModules: readonly BooksModule[] = [
  {
    name: 'customerpayment',
    wrapperKeys: ['payment', 'customerpayment', 'paymentreceived'],
    pathAliases: ['paymentsreceived'],
    idFields: ['payment_id', 'customer_payment_id', 'customerpayment_id'],
    fullRecordFields: ['customer_id', 'date', 'payment_mode', 'amount', 'invoices'],
    listPath: '/customerpayments',
    listKey: 'customerpayments',
    detailKey: 'payment',
    pullStrategy: 'full-scan',
  },
  {
    name: 'vendorpayment',
    wrapperKeys: ['vendorpayment', 'paymentmade', 'payment'],
    pathAliases: ['paymentsmade'],
    idFields: ['payment_id', 'vendor_payment_id', 'vendorpayment_id'],
    fullRecordFields: ['vendor_id', 'date', 'payment_mode', 'amount', 'bills'],
    listPath: '/vendorpayments',
    listKey: 'vendorpayments',
    detailKey: 'vendorpayment',
    pullStrategy: 'filter',
  },
  {
    name: 'creditnote',
    wrapperKeys: ['creditnote'],
    pathAliases: [],
    idFields: ['creditnote_id', 'credit_note_id'],
    fullRecordFields: ['creditnote_number', 'date', 'status', 'customer_id', 'total', 'balance', 'line_items'],
    listPath: '/creditnotes',
    listKey: 'creditnotes',
    detailKey: 'creditnote',
    pullStrategy: 'full-scan',
  },
  {
    name: 'vendorcredit',
    wrapperKeys: ['vendorcredit'],
    pathAliases: [],
    idFields: ['vendor_credit_id', 'vendorcredit_id'],
    fullRecordFields: ['vendor_credit_number', 'date', 'status', 'vendor_id', 'total', 'balance', 'line_items'],
    listPath: '/vendorcredits',
    listKey: 'vendor_credits',
    detailKey: 'vendor_credit',
    pullStrategy: 'filter',
  },
  {
    name: 'expense',
    wrapperKeys: ['expense'],
    pathAliases: [],
    idFields: ['expense_id'],
    fullRecordFields: ['date', 'account_id', 'sub_total', 'total', 'is_inclusive_tax'],
    listPath: '/expenses',
    listKey: 'expenses',
    detailKey: 'expense',
    pullStrategy: 'full-scan',
  },
  {
    name: 'invoice',
    wrapperKeys: ['invoice'],
    pathAliases: [],
    idFields: ['invoice_id'],
    fullRecordFields: ['invoice_number', 'date', 'status', 'customer_id', 'total', 'balance', 'line_items'],
    listPath: '/invoices',
    listKey: 'invoices',
    detailKey: 'invoice',
    pullStrategy: 'filter',
  },
  {
    name: 'bill',
    wrapperKeys: ['bill'],
    pathAliases: [],
    idFields: ['bill_id'],
    fullRecordFields: ['bill_number', 'date', 'status', 'vendor_id', 'total', 'balance', 'line_items'],
    listPath: '/bills',
    listKey: 'bills',
    detailKey: 'bill',
    pullStrategy: 'filter',
  },
  {
    name: 'purchaseorder',
    wrapperKeys: ['purchaseorder'],
    pathAliases: [],
    idFields: ['purchaseorder_id', 'purchase_order_id'],
    fullRecordFields: ['purchaseorder_number', 'date', 'status', 'vendor_id', 'total', 'line_items'],
    listPath: '/purchaseorders',
    listKey: 'purchaseorders',
    detailKey: 'purchaseorder',
    pullStrategy: 'filter',
  },
  {
    name: 'salesorder',
    wrapperKeys: ['salesorder'],
    pathAliases: [],
    idFields: ['salesorder_id', 'sales_order_id'],
    fullRecordFields: ['salesorder_number', 'date', 'status', 'customer_id', 'total', 'line_items'],
    listPath: '/salesorders',
    listKey: 'salesorders',
    detailKey: 'salesorder',
    pullStrategy: 'filter',
  },
  {
    name: 'estimate',
    wrapperKeys: ['estimate', 'quote'],
    pathAliases: [],
    idFields: ['estimate_id', 'quote_id'],
    fullRecordFields: ['estimate_number', 'date', 'status', 'customer_id', 'total', 'line_items'],
    listPath: '/estimates',
    listKey: 'estimates',
    detailKey: 'estimate',
    pullStrategy: 'full-scan',
  },
  {
    name: 'journal',
    wrapperKeys: ['journal', 'manualjournal'],
    pathAliases: [],
    idFields: ['journal_id'],
    fullRecordFields: ['entry_number', 'journal_date', 'total', 'line_items'],
    listPath: '/journals',
    listKey: 'journals',
    detailKey: 'journal',
    pullStrategy: 'full-scan',
  },
  {
    name: 'inventoryadjustment',
    wrapperKeys: ['inventoryadjustment'],
    pathAliases: [],
    idFields: ['inventory_adjustment_id', 'inventoryadjustment_id'],
    fullRecordFields: ['date', 'reason', 'adjustment_type', 'line_items'],
    // Served by the Zoho Inventory API (/inventory/v1), not by Books.
    listPath: '/inventoryadjustments',
    listKey: 'inventory_adjustments',
    detailKey: 'inventory_adjustment',
    pullStrategy: 'full-scan',
  },
  {
    name: 'item',
    wrapperKeys: ['item'],
    pathAliases: [],
    idFields: ['item_id'],
    fullRecordFields: ['name', 'status', 'rate', 'unit', 'description', 'item_type'],
    listPath: '/items',
    listKey: 'items',
    detailKey: 'item',
    pullStrategy: 'full-scan',
  },
  {
    // Workflow rules call them customers and vendors; the default payload's key is contact.
    name: 'contact',
    wrapperKeys: ['contact', 'customer', 'vendor'],
    pathAliases: [],
    idFields: ['contact_id', 'customer_id', 'vendor_id'],
    fullRecordFields: ['contact_name', 'contact_type', 'status', 'currency_id', 'billing_address', 'contact_persons'],
    listPath: '/contacts',
    listKey: 'contacts',
    detailKey: 'contact',
    pullStrategy: 'sorted-scan',
  },
];

/** Wrapper keys of modules that also send webhooks, which the mirror does not hold although their records carry our ids. */
const unmirroredKeys = new Set([
  ...['purchasereceive', 'transferorder', 'salesreturn', 'salesreturnreceive', 'shipmentorder', 'package'],
  ...['retainerinvoice', 'recurringinvoice', 'recurringbill', 'recurringexpense', 'deliverychallan', 'project'],
]);

/**
 * Names of fields that only say which record it is, when, and what happened; a body without any other says nothing about
 * the record. Written so that JavaScript and PostgreSQL read it alike.
 */
export const POINTER_FIELD = /_id$|_time$|^(event|event_type|event_name|action|module)$/;

const byWrapperKey = firstModuleBySpelling((module) => module.wrapperKeys);
const byPath = firstModuleBySpelling((module) => [module.name, ...module.wrapperKeys, ...module.pathAliases]);

/** The module of a canonical name; throws for any other name. */
export function moduleNamed(name: string): BooksModule {
  const module = booksModules.find((candidate) => candidate.name === name);
  if (module === undefined) throw new Error(`there is no Zoho Books module named ${name}`);
  return module;
}

/** Whether a record has every field that a full record of its module has. Only the keys count: Zoho writes "" for none. */
export function hasFullRecordFields(module: BooksModule, fields: Record<string, unknown>): boolean {
  return module.fullRecordFields.every((field) => Object.hasOwn(fields, field));
}

/** The module a URL segment names (`invoices`, `Sales-Orders`, `customer_payment`), or undefined. */
export function moduleFromPath(name: string): BooksModule | undefined {
  return byPath.get(spelling(name));
}

/** The module a webhook's wrapper key names (`invoice`, `payment`, `vendor_credits`), or undefined. */
export function moduleFromKey(key: string): BooksModule | undefined {
  return byWrapperKey.get(spelling(key));
}

/** Whether a wrapper key may hold records of the module: `payment` may hold either kind of payment. */
export function keyFitsModule(key: string, module: BooksModule): boolean {
  return module.wrapperKeys.includes(spelling(key));
}

/** Whether a wrapper key names a Zoho module that the mirror does not hold, such as `shipment_order`. */
export function isUnmirroredKey(key: string): boolean {
  return unmirroredKeys.has(spelling(key));
}

function firstModuleBySpelling(spellings: (module: BooksModule) => readonly string[]): Map<string, BooksModule> {
  const found = new Map<string, BooksModule>();
  for (const module of booksModules) {
    for (const name of spellings(module)) {
      const key = spelling(name);
      if (!found.has(key)) found.set(key, module);
    }
  }
  return found;
}

/** A name as names are compared: case, `-`, `_`, blanks and a plural `s` do not matter. */
export function spelling(name: string): string {
  return name
    .toLowerCase()
    .replace(/[-_\s]/g, '')
    .replace(/s$/, '');
}

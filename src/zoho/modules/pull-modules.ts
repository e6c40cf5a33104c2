/** What it takes to pull each module from the API: the facts of modules.ts, and what only the API needs. */
import type { Api } from '../organizations/addresses.ts';
import { booksModules, type PullStrategy } from './modules.ts';

/** One call that answers with several full records. */
export type BulkDetail = {
  path: string;
  /** The query parameter that takes the ids, separated by commas. */
  parameter: string;
  /** Most ids in a call. */
  max: number;
  /**
   * A key that only full records have: an API that does not know the parameter answers with its list, whose rows must
   * not pass for records. Null where the path alone rules that out.
   */
  proof: string | null;
};

export type PullModule = {
  /** As in event types and in `books_records`. */
  name: string;
  api: Api;
  /** What a refresh token must have been granted. */
  scope: string;
  /** The detail of a record is at `<listPath>/<id>`. */
  listPath: string;
  /** Spellings seen of the keys that hold the rows and the record. */
  listKeys: readonly [string, ...string[]];
  detailKeys: readonly [string, ...string[]];
  idFields: readonly [string, ...string[]];
  strategy: PullStrategy;
  bulk: BulkDetail | null;
  /** False: Zoho announces its changes by no webhook, so that none can be missing. */
  hasWebhooks: boolean;
  /** Records change without a new version (balances of contacts): compare every detail once a week. */
  changesSilently: boolean;
};

/** Records that arrive inside another module's record and are read from there: a list of their own would cost N calls. */
export type InnerModule = { name: string; within: string; key: string; idField: string };

type ApiFacts = Pick<PullModule, 'api' | 'scope'> &
  Partial<Pick<PullModule, 'bulk' | 'changesSilently'>> & { otherListKeys?: string[]; otherDetailKeys?: string[] };

const books = (scope: string, more: Partial<ApiFacts> = {}): ApiFacts => ({
  api: 'books',
  scope: `ZohoBooks.${scope}.READ`,
  ...more,
});

/** Scopes: Zoho Books API v3 introduction. Bulk calls: documented for items, used for sales orders by tap-zohobooks. */
const API_FACTS: Record<string, ApiFacts> = {
  contact: books('contacts', { changesSilently: true }),
  item: books('settings', { bulk: { path: '/itemdetails', parameter: 'item_ids', max: 100, proof: null } }),
  salesorder: books('salesorders', {
    bulk: { path: '/salesorders', parameter: 'salesorder_ids', max: 100, proof: 'line_items' },
    otherListKeys: ['sales_orders'],
    otherDetailKeys: ['sales_order'],
  }),
  invoice: books('invoices'),
  customerpayment: books('customerpayments', {
    otherListKeys: ['customer_payments', 'payments'],
    otherDetailKeys: ['customerpayment', 'customer_payment'],
  }),
  bill: books('bills'),
  purchaseorder: books('purchaseorders', { otherListKeys: ['purchase_orders'], otherDetailKeys: ['purchase_order'] }),
  creditnote: books('creditnotes', { otherListKeys: ['credit_notes'], otherDetailKeys: ['credit_note'] }),
  vendorpayment: books('vendorpayments', {
    otherListKeys: ['vendor_payments', 'payments'],
    otherDetailKeys: ['vendor_payment', 'payment'],
  }),
  vendorcredit: books('debitnotes', { otherListKeys: ['vendorcredits'], otherDetailKeys: ['vendorcredit'] }),
  expense: books('expenses'),
  estimate: books('estimates'),
  journal: books('accountants'),
  inventoryadjustment: {
    api: 'inventory',
    scope: 'ZohoInventory.inventoryadjustments.READ',
    otherListKeys: ['inventoryadjustments'],
    otherDetailKeys: ['inventoryadjustment'],
  },
};

type PullOnly = [name: string, scope: string, path: string, listKey: string, detailKey: string, idField: string];

/** Modules that Zoho announces by no webhook. None documents a filter on the time of change. */
const PULL_ONLY: PullOnly[] = [
  ['chartofaccount', 'accountants', '/chartofaccounts', 'chartofaccounts', 'chart_of_account', 'account_id'],
  ['bankaccount', 'banking', '/bankaccounts', 'bankaccounts', 'bankaccount', 'account_id'],
  ['banktransaction', 'banking', '/banktransactions', 'banktransactions', 'banktransaction', 'transaction_id'],
  ['tax', 'settings', '/settings/taxes', 'taxes', 'tax', 'tax_id'],
  ['currency', 'settings', '/settings/currencies', 'currencies', 'currency', 'currency_id'],
  ['user', 'settings', '/users', 'users', 'user', 'user_id'],
  ['retainerinvoice', 'invoices', '/retainerinvoices', 'retainerinvoices', 'retainerinvoice', 'retainerinvoice_id'],
  [
    'recurringinvoice',
    'invoices',
    '/recurringinvoices',
    'recurring_invoices',
    'recurring_invoice',
    'recurring_invoice_id',
  ],
];

/** Every module that is pulled by a list: those with webhooks first, in the order of modules.ts. */
export const pullModules: readonly PullModule[] = [...booksModules.map(withWebhooks), ...PULL_ONLY.map(pullOnly)];

/** Contact persons stand in the full record of their contact. */
export const innerModules: readonly InnerModule[] = [
  { name: 'contactperson', within: 'contact', key: 'contact_persons', idField: 'contact_person_id' },
];

/** What a module's records hold of other modules. */
export function innerModulesOf({ name }: Pick<PullModule, 'name'>): InnerModule[] {
  return innerModules.filter(({ within }) => within === name);
}

/** Every scope a refresh token needs to pull all modules. */
export const ALL_SCOPES: readonly string[] = [...new Set(pullModules.map(({ scope }) => scope))].sort();

/** The pull facts of a module; throws for a name that is none. */
export function pullModuleNamed(name: string): PullModule {
  const module = pullModules.find((candidate) => candidate.name === name);
  if (module === undefined) throw new Error(`there is no module named ${name} that can be pulled`);
  return module;
}

function withWebhooks(module: (typeof booksModules)[number]): PullModule {
  const facts = API_FACTS[module.name];
  if (facts === undefined) throw new Error(`pull-modules.ts knows nothing of module ${module.name}`);
  const { api, scope, bulk = null, changesSilently = false, otherListKeys = [], otherDetailKeys = [] } = facts;
  const { name, listPath, idFields, pullStrategy: strategy } = module;
  return {
    ...{ name, api, scope, listPath, idFields, strategy, bulk, changesSilently, hasWebhooks: true },
    listKeys: [module.listKey, ...otherListKeys],
    detailKeys: [module.detailKey, ...otherDetailKeys],
  };
}

function pullOnly([name, scope, listPath, listKey, detailKey, idField]: PullOnly): PullModule {
  return {
    ...{ name, listPath, bulk: null, changesSilently: false, hasWebhooks: false },
    ...{ api: 'books', scope: `ZohoBooks.${scope}.READ`, strategy: 'full-scan' },
    // Zoho writes some keys with and some without underscores; both are taken.
    listKeys: [listKey, ...otherSpelling(listKey)],
    detailKeys: [detailKey, ...otherSpelling(detailKey)],
    idFields: [idField],
  };
}

function otherSpelling(key: string): string[] {
  return key.includes('_') ? [key.replaceAll('_', '')] : [];
}

/** How an entry of the stand-in reads on the wire: recorded samples where there are some, a plain document elsewhere. */
import { sample } from '../samples.ts';
import type { Entry, Kind } from './books.ts';

type Fields = Record<string, unknown>;

/** The organization's zone: Zoho writes times with its offset, and ends its day at its midnight. */
export const OFFSET_SECONDS = -4 * 3600;

type Shape = {
  /** Keys of the API: list, record, id. */
  listKey: string;
  detailKey: string;
  idField: string;
  path: string;
  template: () => Fields;
  amountField: string;
  numberField: string;
  /** Recorded payments name their last change so in detail, and last_modified_time in lists. */
  detailTimeField: 'last_modified_time' | 'updated_time';
};

const shape = (
  listKey: string,
  detailKey: string,
  idField: string,
  more: Partial<Omit<Shape, 'listKey' | 'detailKey' | 'idField'>> = {},
): Shape => ({
  ...{ listKey, detailKey, idField, path: `/${listKey}`, template: plainDocument() },
  ...{ amountField: 'total', numberField: `${detailKey}_number`, detailTimeField: 'last_modified_time', ...more },
});

const recorded = (name: string, key: string) => {
  const fields: Fields = sample(`${name}.webhook`)[key];
  return () => fields;
};

export const SHAPES: Record<Kind, Shape> = {
  contact: shape('contacts', 'contact', 'contact_id', {
    template: recorded('contact', 'contact'),
    amountField: 'outstanding_receivable_amount',
  }),
  item: shape('items', 'item', 'item_id', { template: recorded('item', 'item'), amountField: 'rate' }),
  salesorder: shape('salesorders', 'salesorder', 'salesorder_id', { template: recorded('salesorder', 'salesorder') }),
  invoice: shape('invoices', 'invoice', 'invoice_id', { template: recorded('invoice', 'invoice') }),
  customerpayment: shape('customerpayments', 'payment', 'payment_id', {
    template: recorded('customerpayment', 'payment'),
    amountField: 'amount',
    detailTimeField: 'updated_time',
  }),
  bill: shape('bills', 'bill', 'bill_id', { template: recorded('bill', 'bill') }),
  creditnote: shape('creditnotes', 'creditnote', 'creditnote_id'),
  vendorpayment: shape('vendorpayments', 'vendorpayment', 'payment_id', {
    amountField: 'amount',
    template: plainDocument({ payment_mode: 'check', bills: [{ bill_id: '3950000000209001', amount_applied: 1 }] }),
  }),
  vendorcredit: shape('vendor_credits', 'vendor_credit', 'vendor_credit_id', { path: '/vendorcredits' }),
  expense: shape('expenses', 'expense', 'expense_id', {
    template: plainDocument({ account_id: '3950000000000388', sub_total: 1, is_inclusive_tax: false }),
  }),
  estimate: shape('estimates', 'estimate', 'estimate_id'),
  journal: shape('journals', 'journal', 'journal_id', {
    numberField: 'entry_number',
    template: plainDocument({ journal_date: '2026-06-09' }),
  }),
  purchaseorder: shape('purchaseorders', 'purchaseorder', 'purchaseorder_id'),
  inventoryadjustment: shape('inventory_adjustments', 'inventory_adjustment', 'inventory_adjustment_id', {
    path: '/inventoryadjustments',
    template: plainDocument({ reason: 'Stocktaking', adjustment_type: 'quantity' }),
  }),
  chartofaccount: shape('chartofaccounts', 'chart_of_account', 'account_id'),
  tax: shape('taxes', 'tax', 'tax_id', { path: '/settings/taxes' }),
  user: shape('users', 'user', 'user_id'),
};

/** Plain values that list rows leave out, like everything that is an object or a list. */
const DETAIL_ONLY = new Set(['sub_total', 'is_inclusive_tax']);

/** `2026-06-09T09:47:43-0400`, as Zoho writes a time of this organization. */
export function zohoTime(seconds: number): string {
  const local = new Date((seconds + OFFSET_SECONDS) * 1000).toISOString().slice(0, 19);
  return `${local}-0400`;
}

export function renderDetail(entry: Entry): string {
  const { idField, template, detailTimeField } = SHAPES[entry.kind];
  const { last_modified_time, updated_time, ...fields } = template();
  return JSON.stringify({
    ...fields,
    ...own(entry),
    [idField]: entry.id,
    [detailTimeField]: zohoTime(entry.changedAt),
    ...lines(entry, fields.line_items),
    ...persons(entry, fields.contact_persons),
  });
}

export function renderRow(entry: Entry): string {
  const { idField, template } = SHAPES[entry.kind];
  const { last_modified_time, updated_time, ...fields } = template();
  const flat = Object.entries(fields).filter(([name, value]) => typeof value !== 'object' && !DETAIL_ONLY.has(name));
  return JSON.stringify({
    ...Object.fromEntries(flat),
    ...own(entry),
    [idField]: entry.id,
    last_modified_time: zohoTime(entry.changedAt),
    custom_fields: [],
  });
}

/** What differs from one record, and from one version, to the next. */
function own({ kind, nth, revision, createdAt, owner }: Entry): Fields {
  return {
    [SHAPES[kind].amountField]: amount(nth, revision),
    [SHAPES[kind].numberField]: `${kind.slice(0, 3).toUpperCase()}-${String(nth).padStart(6, '0')}`,
    created_time: zohoTime(createdAt),
    created_by: owner,
    cf_revision: String(revision),
  };
}

/** Every 97th amount has more digits than a double holds. */
function amount(nth: number, revision: number): unknown {
  const whole = nth % 97 === 0 ? `90071992547409${String(nth).padStart(6, '0')}` : String(nth * 10 + revision);
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(
    `${whole}.${String(revision % 100).padStart(2, '0')}`,
  );
}

function lines({ nth, revision }: Entry, template: unknown): Fields {
  if (!Array.isArray(template) || template.length === 0) return {};
  const count = 1 + (nth % 3);
  const line_items = Array.from({ length: count }, (_, n) => ({
    ...template[0],
    line_item_id: `39500000009${String(nth * 10 + n).padStart(8, '0')}`,
    item_order: n + 1,
    quantity: revision,
  }));
  return { line_items };
}

/** A contact's persons are its own: no two contacts share an id. */
function persons({ kind, nth }: Entry, template: unknown): Fields {
  if (kind !== 'contact' || !Array.isArray(template)) return {};
  const id = (n: number) => `39500000008${String(nth * 10 + n).padStart(8, '0')}`;
  return { contact_persons: template.map((person, n) => ({ ...person, contact_person_id: id(n) })) };
}

/** A document as good as recorded, for modules of which there is no sample. */
function plainDocument(more: Fields = {}): () => Fields {
  const fields = {
    date: '2026-06-09',
    status: 'open',
    customer_id: '3950000000197001',
    customer_name: 'Acme Trading',
    vendor_id: '3950000000197003',
    balance: 0,
    currency_code: 'USD',
    exchange_rate: 1,
    reference_number: '',
    notes: '',
    line_items: [{ line_item_id: '1', item_id: '3950000000200002', rate: 1, quantity: 1, item_total: 1 }],
    ...more,
  };
  return () => fields;
}

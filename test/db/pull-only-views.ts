/** The views of modules that no webhook announces: a record of each as Zoho's API reference has it, and how its view reads. */
type Sample = {
  view: string;
  history: string;
  module: string;
  /** As it stands in an answer; ids and money keep their digits. */
  record: string;
  /** Columns of each type, as text. */
  reads: Record<string, string | null>;
};

export const pullOnlyViews: readonly Sample[] = [
  {
    ...{ view: 'books_chart_of_accounts', history: 'books_chart_of_account_history', module: 'chartofaccount' },
    record: `{"account_id":"3950000000000373","account_name":"Notes Payable","account_code":"","is_active":true,
      "account_type":"long_term_liability","currency_id":"3950000000000097","currency_code":"USD","description":"",
      "is_system_account":false,"is_involved_in_transaction":false,"current_balance":-1250.50,"parent_account_id":"",
      "depth":0,"custom_fields":[],"created_time":"2026-01-05T08:00:00-0400",
      "last_modified_time":"2026-06-09T09:47:43-0400"}`,
    reads: {
      ...{ account_name: 'Notes Payable', account_code: null, is_active: 'true', current_balance: '-1250.50' },
      ...{ parent_account_id: null, last_modified_time: '2026-06-09 13:47:43+00', depth: '0', custom_fields: '[]' },
    },
  },
  {
    ...{ view: 'books_bank_accounts', history: 'books_bank_account_history', module: 'bankaccount' },
    record: `{"account_id":"3950000000051001","account_name":"Corporate Account","account_code":"1041",
      "account_number":"000012345678901234567890","account_type":"bank","bank_name":"Example Bank","balance":1000.10,
      "bank_balance":"","bcy_balance":1000.10,"price_precision":2,"is_primary_account":false,"is_active":true,
      "uncategorized_transactions":3,"currency_code":"USD"}`,
    reads: {
      ...{ account_number: '000012345678901234567890', balance: '1000.10', bank_balance: null, is_active: 'true' },
      ...{ uncategorized_transactions: '3', created_time: null },
    },
  },
  {
    ...{ view: 'books_bank_transactions', history: 'books_bank_transaction_history', module: 'banktransaction' },
    record: `{"transaction_id":"3950000000048017","transaction_type":"deposit","date":"2026-06-09","amount":2000.00,
      "from_account_id":"3950000000000361","to_account_id":"3950000000051001","exchange_rate":1.25,"status":"manually_added",
      "is_inclusive_tax":false,"tax_id":"","line_items":[],"debit_or_credit":"debit","payment_mode":"Cash",
      "imported_transactions":[{"imported_transaction_id":"1"}]}`,
    reads: {
      ...{ transaction_type: 'deposit', date: '2026-06-09', amount: '2000.00', exchange_rate: '1.25', tax_id: null },
      ...{ is_inclusive_tax: 'false', line_items: '[]', imported_transactions: '[{"imported_transaction_id": "1"}]' },
    },
  },
  {
    ...{ view: 'books_taxes', history: 'books_tax_history', module: 'tax' },
    record: `{"tax_id":"3950000000203001","tax_name":"VAT","tax_percentage":19.0,"tax_type":"tax","is_value_added":true,
      "is_default_tax":"","is_editable":true,"start_date":"2026-01-01","end_date":""}`,
    reads: {
      ...{ tax_name: 'VAT', tax_percentage: '19.0', is_value_added: 'true', is_default_tax: null },
      ...{ start_date: '2026-01-01', end_date: null },
    },
  },
  {
    ...{ view: 'books_currencies', history: 'books_currency_history', module: 'currency' },
    record: `{"currency_id":"3950000000000097","currency_code":"JPY","currency_name":"JPY- Japanese Yen","currency_symbol":"¥",
      "price_precision":0,"currency_format":"1,234,567","is_base_currency":false,"exchange_rate":0.0067123400,
      "effective_date":"2026-06-01"}`,
    reads: {
      ...{ currency_symbol: '¥', price_precision: '0', exchange_rate: '0.0067123400', is_base_currency: 'false' },
      ...{ effective_date: '2026-06-01', currency_format: '1,234,567' },
    },
  },
  {
    ...{ view: 'books_users', history: 'books_user_history', module: 'user' },
    record: `{"user_id":"3950000000036868","role_id":"3950000000000657","name":"Dana Reed","email":"dana@acme.example",
      "email_ids":[{"is_selected":true,"email":"dana@acme.example"}],"status":"active","user_role":"admin",
      "is_current_user":true,"created_time":"2026-01-05T08:00:00-0400","photo_url":""}`,
    reads: {
      ...{ name: 'Dana Reed', user_role: 'admin', is_current_user: 'true', photo_url: null, version: null },
      ...{
        created_time: '2026-01-05 12:00:00+00',
        email_ids: '[{"email": "dana@acme.example", "is_selected": true}]',
      },
    },
  },
  {
    ...{ view: 'books_retainer_invoices', history: 'books_retainer_invoice_history', module: 'retainerinvoice' },
    record: `{"retainerinvoice_id":"3950000000090001","retainerinvoice_number":"RET-00001","date":"2026-06-09","status":"sent",
      "customer_id":"3950000000197001","total":500.00,"bcy_total":625.00,"payment_made":0,"payment_drawn":0,"balance":500.00,
      "is_viewed_by_client":true,"client_viewed_time":"2026-06-09T10:00:00+0530","last_payment_date":"",
      "line_items":[{"line_item_id":"3950000000090003","item_order":1,"description":"Deposit","rate":500.00,
      "item_total":500.00}]}`,
    reads: {
      ...{ retainerinvoice_number: 'RET-00001', date: '2026-06-09', total: '500.00', bcy_total: '625.00' },
      ...{ client_viewed_time: '2026-06-09 04:30:00+00', last_payment_date: null, is_viewed_by_client: 'true' },
    },
  },
  {
    ...{ view: 'books_recurring_invoices', history: 'books_recurring_invoice_history', module: 'recurringinvoice' },
    record: `{"recurring_invoice_id":"3950000000082001","recurrence_name":"Monthly hosting","status":"active",
      "recurrence_frequency":"months","repeat_every":1,"start_date":"2026-01-01","end_date":"","next_invoice_date":"2026-07-01",
      "customer_id":"3950000000197001","total":40.60,"is_discount_before_tax":true,"discount":"0.00%","line_items":
      [{"line_item_id":"3950000000082003","item_id":"3950000000200002","quantity":2.5,"rate":16.24,"item_total":40.60}]}`,
    reads: {
      ...{ recurrence_frequency: 'months', repeat_every: '1', start_date: '2026-01-01', end_date: null },
      ...{ next_invoice_date: '2026-07-01', total: '40.60', discount: null, is_discount_before_tax: 'true' },
    },
  },
  {
    ...{ view: 'books_contact_persons', history: 'books_contact_person_history', module: 'contactperson' },
    record: `{"contact_person_id":"3950000000197005","salutation":"","first_name":"Dana","last_name":"Reed",
      "email":"dana@acme.example","is_primary_contact":true,"communication_preference":{"is_email_enabled":true}}`,
    reads: {
      ...{ contact_id: '3950000000197001', first_name: 'Dana', salutation: null, is_primary_contact: 'true' },
      ...{ communication_preference: '{"is_email_enabled": true}', enable_portal: null },
    },
  },
];

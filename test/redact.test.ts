import fc from 'fast-check';
import t from 'tap';
import { csvCell, csvLine } from '../src/csv.ts';
import { parseLossless } from '../src/lossless.ts';
import { redact, redactText } from '../src/redact.ts';

t.test('e-mail addresses are hidden wherever they stand', async (t) => {
  for (const address of [
    'canary.7f3a@example.com',
    'a+b@x.co.uk',
    'müller@example.de',
    'jane%40example.com',
    'x@localhost',
  ])
    t.equal(redactText(`to <${address}>, twice`), 'to <[REDACTED_EMAIL]>, twice', address);
  t.equal(redactText('@mention and a @ b'), '@mention and a @ b');
});

t.test('phone numbers of any country are hidden', async (t) => {
  const numbers = [
    '+964 770 123 4567',
    '07701234567',
    '(281) 332-2575',
    '٠٧٧٠١٢٣٤٥٦٧',
    '+٩٦٤ ٧٧٠ ١٢٣ ٤٥٦٧',
    '۰۷۷۰۱۲۳۴۵۶۷',
  ];
  for (const number of [
    ...numbers,
    '+49 (0)30 1234567',
    '00 44 20 7946 0958',
    '281-332-2575',
    '+1.281.332.2575',
    '+442079460958',
  ])
    t.equal(redactText(`call ${number} now`), 'call [REDACTED_PHONE] now', number);
});

t.test('numbers as people of a country write them are hidden, without its code', async (t) => {
  const numbers = {
    India: ['98765 43210', '098765 43210'],
    Denmark: ['20 12 34 56'],
    Singapore: ['6123 4567'],
    Norway: ['406 12 345'],
    Spain: ['612 34 56 78', '612 345 678'],
    France: ['06 12 34 56 78'],
    'New Zealand': ['03-345 6789'],
    Lebanon: ['03 123 456'],
    'United States': ['(201) 555-0123', '201-555-0123', '201.555.0123'],
    Brazil: ['11 96123-4567'],
    Iraq: ['0791 234 5678'],
  };
  for (const [country, list] of Object.entries(numbers))
    for (const number of list) t.equal(redactText(`call ${number} now`), 'call [REDACTED_PHONE] now', country);
});

t.test('ids, amounts, dates and numbers of documents are no phone numbers', async (t) => {
  const texts = [
    // Ids of Zoho Books, up to 19 digits.
    ...['260815000000113012', '4608150000001130127', '0608150000001130128', '982000000567114'],
    ...['1234567', '12345678', '123456789', '1234567890'],
    ...['10 000 000', '1 234 567', '1.234.567', '1 234 567,50', '612 345 678,00', '1.234.567.890', '12345678.90'],
    ...['1,234,567.89', '12.345.678,90', '1234.56-1500.00', '100000.5 200000.75'],
    ...['2026-00012', 'INV-2026-00012', 'INV-2026-0001-0002', 'SO/2026/000123', 'PO-00012-2026', 'CN-0000012345'],
    ...['2026-01-15', '15.01.2026', '2026/01/15', '2026-01-15 10:30', '2026-06-09T09:47:43-0400'],
    ...['10.0.0.1', '192.168.100.200', '1-2-3', '24x7', '3 x 1000000'],
  ];
  for (const text of texts) t.equal(redactText(`see ${text} there`), `see ${text} there`);
  const record = { note: 'see 4608150000001130127', total: '1 234 567.50', invoice_number: 'INV-2026-0001-0002' };
  t.same(redact(record), record);
});

t.test('cards are hidden when their check digit is right', async (t) => {
  for (const card of ['4111 1111 1111 1111', '5500-0000-0000-0004', '378282246310005'])
    t.equal(redactText(`paid by ${card}.`), 'paid by [REDACTED_CC].', card);
  t.equal(redactText('paid by 4111111111111112'), 'paid by 4111111111111112');
});

t.test('ids, dates, amounts and versions stay what they are', async (t) => {
  const texts = [
    '0193a5e2-7b1c-7000-8000-3f6d2c9b1a04',
    'INV-00001',
    '2026-01-15T10:30:00.000Z',
    '1234.50',
    'invoice 982000000567114',
  ];
  for (const text of [
    ...texts,
    'status 404 after 3 attempts',
    '2026-01-15 10:30:00',
    '10.10.2026',
    'v24.21.0',
    'a1b2c30770123456789def',
  ])
    t.equal(redactText(text), text);
  t.same(redact({ invoice_id: '4111111111111111', customer_id: 982000000567114 }), {
    invoice_id: '4111111111111111',
    customer_id: 982000000567114,
  });
});

t.test('a record keeps its shape, its numbers and its digits', async (t) => {
  const record = parseLossless(
    '{"customer_name":"Jane","phone":9647701234567,"mobile":"x","email":"j@e.com","total":12345678901234567.10,"password":{"a":1},"lines":[{"note":"ask j@e.com"}],"j@e.com":true,"empty":"","none":null,"__proto__":"j@e.com"}',
  );
  t.equal(
    JSON.stringify(redact(record)),
    '{"customer_name":"[REDACTED]","phone":"[REDACTED_PHONE]","mobile":"[REDACTED_PHONE]","email":"[REDACTED_EMAIL]",' +
      '"total":12345678901234567.10,"password":"[REDACTED]","lines":[{"note":"ask [REDACTED_EMAIL]"}],' +
      '"[REDACTED_EMAIL]":true,"empty":"","none":null,"__proto__":"[REDACTED_EMAIL]"}',
  );
});

t.test('a name that stands under its key is hidden wherever the record repeats it', async (t) => {
  const record = { customer_name: 'Jane Doe', lines: [{ name: 'For Jane Doe' }], notes: 'ask Jane Doe', 'Jane Doe': 1 };
  t.same(redact(record), {
    customer_name: '[REDACTED]',
    lines: [{ name: 'For [REDACTED]' }],
    notes: 'ask [REDACTED]',
    '[REDACTED]': 1,
  });
  t.same(redact({ first_name: 'Al', notes: 'also' }), { first_name: '[REDACTED]', notes: 'also' }, 'but no short one');
});

t.test('no canary comes through, whatever stands around it', async () => {
  const canaries = fc.constantFrom(
    'canary.7f3a@example.com',
    '+964 770 123 4567',
    '(281) 332-2575',
    '07701234567',
    '4111 1111 1111 1111',
  );
  const around = fc.string({ unit: fc.constantFrom(' ', 'ä', '"', '\n', ',', '.', '=', '<', 'Z', ';'), maxLength: 6 });
  const property = fc.property(around, canaries, around, (before, canary, after) => {
    const text = redactText(`${before} ${canary} ${after}`);
    return !text.includes(canary) && text.startsWith(before);
  });
  fc.assert(property, { seed: 20_261_128, numRuns: 2000 });
});

t.test('a long text takes no longer than its length', async (t) => {
  for (const text of [
    'a'.repeat(500_000),
    '1 '.repeat(250_000),
    '+'.repeat(500_000),
    '('.repeat(500_000),
    'a@'.repeat(250_000),
  ])
    t.ok(redactText(text).length > 0);
});

t.test('no cell of a CSV is a formula, and every cell reads back', async (t) => {
  for (const text of [
    '=HYPERLINK("http://x")',
    '+1',
    '-1',
    '@x',
    '\t=1',
    '\0=1',
    "=cmd|'/c calc'!A1",
    ' =1',
    '＝1',
    '|x',
    '\r=1',
  ])
    t.match(csvCell(text), /^"?'/, JSON.stringify(text));
  t.equal(csvCell(-12.5), '-12.5', 'an amount stays an amount');
  t.equal(
    csvLine(['a,b', 'say "x"', 'two\nlines', null, true, { a: 1 }]),
    '"a,b","say ""x""","two\nlines",,true,"{""a"":1}"\r\n',
  );
});

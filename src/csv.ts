/** A spreadsheet takes what begins so for a formula (OWASP, CSV injection); NUL and white space may stand before it. */
const FORMULA = /^[\s\0]*[=+\-@|%＝＋－＠]/;
const NEEDS_QUOTES = /[",\r\n\0]|^\s|\s$/;

/**
 * One cell as RFC 4180 writes it. Text that a spreadsheet would run gets a ' in front; numbers are left as they are, so
 * that negative amounts stay amounts.
 */
export function csvCell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const safe = FORMULA.test(text) || /^[\t\r]/.test(text) ? `'${text}` : text;
  return NEEDS_QUOTES.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A line of cells, with its line end. */
export function csvLine(cells: readonly unknown[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/**
 * Hides what tells of persons in what leaves the house, with the marks of the runbook. It finds values, wherever they
 * stand: in free text and in keys too. In doubt it hides.
 */
import { isNumber } from './lossless.ts';
import { isNationalNumber } from './phone.ts';

const EMAIL = '[REDACTED_EMAIL]';
const PHONE = '[REDACTED_PHONE]';
const CARD = '[REDACTED_CC]';
const OTHER = '[REDACTED]';

const MAX_DEPTH = 100;

const SECRET_KEY = /(password|passwd|secret|token|authorization|cookie|signature|api[_-]?key|cvv|iban)s?$/i;
const PHONE_KEY = /(^|[_-])(tele)?(phone|mobile|cell|fax|whatsapp)([_-]?(no|number|\d))?$/i;
const EMAIL_KEY = /(^|[_-])e?mails?$/i;
const PERSON_KEY =
  /^((customer|contact|company|vendor|first|last|full|nick|display|shipping|billing)[_-]?name|attention|address\d?|street\d?|zip(code)?|tax_id|vat_reg_no|gst_no|date_of_birth)$/i;
/** Their digits are no phone numbers. */
const ID_KEY = /(^|[_-])(id|ids|uuid|date|time|at|version)$/i;

/** A copy of a parsed JSON value with everything hidden that tells of persons. */
export function redact(value: unknown): unknown {
  return redactWithin(value, namesIn(value));
}

/** @param names what stands under a person's key somewhere in the record: its notes may say it again */
function redactWithin(value: unknown, names: readonly string[], key = '', depth = 0): unknown {
  if (value === null || value === undefined || typeof value === 'boolean') return value;
  const mark = markOf(key);
  if (typeof value === 'string')
    return value === '' ? value : (mark ?? redactText(withoutNames(value, names), ID_KEY.test(key)));
  if (isNumber(value)) return mark ?? value;
  if (depth > MAX_DEPTH || mark === OTHER) return OTHER;
  if (Array.isArray(value)) return value.map((item) => redactWithin(item, names, key, depth + 1));
  return redactMembers(value as object, names, depth + 1);
}

function redactMembers(object: object, names: readonly string[], depth: number): object {
  const copy: Record<string, unknown> = Object.create(null);
  for (const [key, value] of Object.entries(object))
    copy[redactText(withoutNames(key, names))] = redactWithin(value, names, key, depth);
  return copy;
}

/** A shorter text stands in many a word. */
const SHORTEST_NAME = 4;

function namesIn(value: unknown, key = '', depth = 0): string[] {
  if (typeof value === 'string')
    return PERSON_KEY.test(key) && value.trim().length >= SHORTEST_NAME ? [value.trim()] : [];
  if (typeof value !== 'object' || value === null || isNumber(value) || depth > MAX_DEPTH) return [];
  const members = Array.isArray(value) ? value.map((item) => [key, item] as const) : Object.entries(value);
  return members.flatMap(([name, item]) => namesIn(item, name, depth + 1));
}

function withoutNames(text: string, names: readonly string[]): string {
  return names.reduce((rest, name) => rest.replaceAll(name, OTHER), text);
}

function markOf(key: string): string | undefined {
  if (SECRET_KEY.test(key) || PERSON_KEY.test(key)) return OTHER;
  if (PHONE_KEY.test(key)) return PHONE;
  return EMAIL_KEY.test(key) ? EMAIL : undefined;
}

/** The `@` may be written as in a URL. */
const ADDRESS = /(?<![\p{L}\p{N}._+-])[\p{L}\p{N}._+-]+(?:@|%40)[\p{L}\p{N}.-]+/gu;
/** Digits with what may stand between those of a phone number or a card. */
const DIGITS = /(?<![\d+(])[+(]*\d[\d ()./\-\u00a0\u2010-\u2015]*/g;

/**
 * A text with e-mail addresses, phone numbers and cards replaced.
 * @param isId its digits are part of an id: only addresses are looked for
 */
export function redactText(text: string, isId = false): string {
  const withoutAddresses = text.includes('@') || text.includes('%40') ? text.replace(ADDRESS, EMAIL) : text;
  if (isId) return withoutAddresses;
  const digits = asciiDigits(withoutAddresses);
  let result = '';
  let end = 0;
  for (const { 0: found, index } of digits.matchAll(DIGITS)) {
    const run = found.slice(0, lastDigit(found) + 1);
    const around = {
      before: digits.slice(Math.max(0, index - 2), index),
      after: digits.slice(index + run.length, index + run.length + 2),
    };
    const mark = markOfDigits(run, around);
    if (!mark) continue;
    result += withoutAddresses.slice(end, index) + mark;
    end = index + run.length;
  }
  return result + withoutAddresses.slice(end);
}

/** Where a run of digits ends, or the bracket behind the last one. */
function lastDigit(run: string): number {
  let place = run.length - 1;
  while (!/[\d)]/.test(run.charAt(place))) place -= 1;
  return place;
}

/** Arabic-Indic, Persian and full-width digits as ASCII: each is one UTF-16 unit, so places stay what they are. */
function asciiDigits(text: string): string {
  return text.replace(/[٠-٩۰-۹０-９]/g, (digit) => {
    const code = digit.charCodeAt(0);
    const zero = code >= 0xff10 ? 0xff10 : code >= 0x6f0 ? 0x6f0 : 0x660;
    return String(code - zero);
  });
}

const WORD = /[\p{L}_]/u;

/** The two characters before a run of digits, and the two after it. */
type Around = { before: string; after: string };

function markOfDigits(run: string, around: Around): string | undefined {
  const digits = run.replace(/\D/g, '');
  // A part of a word, such as a hash.
  if (WORD.test(around.before.slice(-1)) || WORD.test(around.after.slice(0, 1))) return undefined;
  if (digits.length >= 13 && digits.length <= 19 && !/[()./+]/.test(run) && passesLuhn(digits)) return CARD;
  return isPhone(run, digits, around) ? PHONE : undefined;
}

/** What E.164 allows, with the 00 of an international call before it. */
const MOST_DIGITS = 17;
/** Groups of three behind a first one, as amounts are written. */
const THOUSANDS = /^[1-9]\d{0,2}([ .\u00a0])\d{3}(?:\1\d{3})*$/;
/** Amounts with a decimal point, one or several. */
const DECIMALS = /^\d[\d \u00a0]*\.\d{1,2}$|^\d+\.\d{1,2}(?:[ -]\d+\.\d{1,2})+$/;
const YEAR_FIRST = /^(?:19|20)\d\d[-/.]/;

/**
 * In doubt it is one: international, in brackets, with a leading 0, or in three groups and more. Where it looks like an
 * amount or the number of a document, and where there are fewer groups, the numbering plans of all countries decide. No
 * dates, no bare numbers.
 */
function isPhone(run: string, digits: string, { before, after }: Around): boolean {
  if (digits.length < 7 || /^\d{4}-\d\d-\d\d/.test(run)) return false;
  if (/^\(?\+/.test(run) || run.includes('(')) return true;
  if (digits.length > MOST_DIGITS || DECIMALS.test(run)) return false;
  const groups = run.split(/\D+/).filter((group) => group !== '');
  const isDocument = /\p{L}[-/]$/u.test(before) || YEAR_FIRST.test(run);
  const isAmount = THOUSANDS.test(run);
  if (isAmount && (digits.length < 9 || /^,\d/.test(after))) return false;
  if (!isDocument && /^0/.test(run) && digits.length >= 9) return true;
  if (!isDocument && !isAmount && digits.length >= 9 && groups.length >= 3) return true;
  // One point or slash stands in a price, a quantity or a fraction.
  if (groups.length < 2 || (groups.length === 2 && !/^\d+[- \u00a0\u2010-\u2015]\d+$/.test(run))) return false;
  return !YEAR_FIRST.test(run) && isNationalNumber(groups);
}

/** The check digit of cards: ISO/IEC 7812. */
function passesLuhn(digits: string): boolean {
  const sum = [...digits].reverse().reduce((total, digit, place) => {
    const value = Number(digit) * (place % 2 === 1 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

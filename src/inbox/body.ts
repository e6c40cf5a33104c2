import { isUtf8 } from 'node:buffer';
import { Unusable } from './unusable.ts';

/** Keys under which Zoho (form bodies) and integrators (raw templates) send a payload as text or as an object. */
export const transportKeys: readonly string[] = ['JSONString', 'payload', 'data'];

/** No form of Zoho's has a hundred; for a megabyte of `a&a&a` URLSearchParams takes six seconds. */
const MAX_FORM_FIELDS = 1000;

/** Longest body of a check call, in bytes. */
export const LONGEST_CHECK_CALL = 256;

const FORM = /^\s*application\/x-www-form-urlencoded\s*(;|$)/i;
const CHECK_CALL = /^\s*\{\s*"(?:payload|JSONString)"\s*:\s*"\s*"\s*\}\s*$/;

/** Whether the content type declares a form; every other type is read as JSON. */
export function isForm(contentType: string): boolean {
  return FORM.test(contentType);
}

/** The fields of a form, decoded, in the order sent; null when there are more than anybody would send. */
export function formFields(text: string): [name: string, value: string][] | null {
  return hasMoreThan(MAX_FORM_FIELDS, '&', text) ? null : [...new URLSearchParams(text)];
}

/**
 * The JSON text a delivery carries. A form becomes one flat JSON object of strings (a repeated field: the last one
 * wins), so that whatever follows knows a single shape. Throws Unusable when the bytes are no text.
 */
export function bodyText(body: Buffer, contentType: string): string {
  if (!isUtf8(body)) throw new Unusable('the body is not valid UTF-8; send it as UTF-8');
  const text = withoutByteOrderMark(body.toString('utf8'));
  if (text.trim() === '') throw new Unusable('the body is empty; choose Default Payload in the webhook');
  // Some webhooks declare a form and send plain JSON; no form begins with a brace.
  return isForm(contentType) && !text.trimStart().startsWith('{') ? formAsJson(text) : text;
}

/** Whether this is the empty call Zoho makes when a webhook is saved: `payload=` or `{"payload": ""}`. */
export function isCheckCall(text: string): boolean {
  return text.length <= LONGEST_CHECK_CALL && CHECK_CALL.test(text);
}

/** The same of the bytes of a body; longer ones are not even decoded, because the call carries no proof. */
export function isCheckCallBody(body: Buffer, contentType: string): boolean {
  if (body.length > LONGEST_CHECK_CALL) return false;
  try {
    return isCheckCall(bodyText(body, contentType));
  } catch {
    return false; // no text at all
  }
}

function withoutByteOrderMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function formAsJson(text: string): string {
  const form = text.trim();
  const fields = formFields(form);
  if (fields === null) throw new Unusable(`the form has more than ${MAX_FORM_FIELDS} fields; send one record`);
  if (!decodesToUtf8(form)) throw new Unusable('the form does not decode to valid UTF-8; send it as UTF-8');
  return JSON.stringify(Object.fromEntries(fields));
}

/** Whether a character occurs more than `limit` times; stops looking as soon as it does. */
export function hasMoreThan(limit: number, character: string, text: string): boolean {
  let at = -1;
  for (let count = 0; count <= limit; count++) {
    at = text.indexOf(character, at + 1);
    if (at < 0) return false;
  }
  return true;
}

/** URLSearchParams would silently replace broken characters; a stray `%` is no reason to refuse (`discount=10%`). */
function decodesToUtf8(form: string): boolean {
  try {
    decodeURIComponent(form.replace(/%(?![0-9a-f]{2})/gi, '%25'));
    return true;
  } catch {
    return false;
  }
}

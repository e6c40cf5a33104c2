import { httpStatus } from './http.ts';
import { isFromPostgres, messageTemplate } from './postgres.ts';
import { chain, read, text } from './read.ts';
import { preview, sanitizeText } from './text.ts';

const MAX_LINE_BYTES = 1024;
const MAX_NAME_BYTES = 100;

/**
 * The message of one link of a chain, '' when it has none. Values inside messages of PostgreSQL are left out, also where
 * an error around it repeats the message.
 */
export function messageOf(link: unknown, links: unknown[]): string {
  if (isFromPostgres(link)) return messageTemplate(link);
  let message = typeof link === 'string' ? link : text(link, 'message');
  for (const inner of links.filter(isFromPostgres)) {
    const quoted = text(inner, 'message');
    if (quoted !== '') message = message.replaceAll(quoted, () => messageTemplate(inner));
  }
  return message;
}

/** The first message of a chain; for a value without any, what it looks like. Safe to store, at most `maxBytes`. */
export function describeChain(error: unknown, maxBytes?: number): string {
  const links = chain(error);
  for (const link of links) {
    const message = messageOf(link, links);
    if (message.trim() !== '') return sanitizeText(message, maxBytes);
  }
  return sanitizeText(describeWithoutMessage(error), maxBytes);
}

function describeWithoutMessage(error: unknown): string {
  if (text(error, 'stack') !== '') return `${nameOf(error)} without a message`;
  const status = httpStatus(error);
  const suffix = status === undefined ? '' : ` (HTTP status ${status})`;
  return `something without a message was thrown: ${preview(error)}${suffix}`;
}

/** The name of what was thrown: of its `name`, its class or its type. */
export function nameOf(value: unknown): string {
  if (value === null) return 'null';
  const name = text(value, 'name') || text(read(value, 'constructor'), 'name') || typeof value;
  return sanitizeText(name, MAX_NAME_BYTES);
}

/**
 * Anything thrown as one line for a log, at most 1 kB: 'TypeError: fetch failed; cause: Error: connect ECONNREFUSED
 * 127.0.0.1:1 [ECONNREFUSED]'. Never throws; without values in messages of PostgreSQL.
 */
export function describeThrown(value: unknown): string {
  const links = chain(value);
  if (links.length === 0) return oneLine(describeWithoutMessage(value));
  const described = links.map((link) => describeLink(link, links));
  return oneLine(described.join('; cause: '));
}

function describeLink(link: unknown, links: unknown[]): string {
  const message = sanitizeText(messageOf(link, links) || describeWithoutMessage(link), MAX_LINE_BYTES);
  if (typeof link !== 'object') return message;
  const code = text(link, 'code');
  return `${nameOf(link)}: ${message}${code === '' ? '' : ` [${sanitizeText(code, MAX_NAME_BYTES)}]`}`;
}

function oneLine(described: string): string {
  return sanitizeText(described.replace(/\s+/g, ' ').trim(), MAX_LINE_BYTES);
}

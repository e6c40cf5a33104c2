/** The patterns of `eventTypes`: what they match, and which of them can match nothing. */
import { readAction } from '../inbox/action.ts';
import { nearest } from '../nearest.ts';
import { booksModules, moduleFromPath } from '../zoho/modules/modules.ts';

const MODULES = booksModules.map(({ name }) => name);
const ACTIONS = ['created', 'updated', 'deleted'];
const near = () => 2;

/** True for 'invoice.updated', 'invoice.*' and '*', whether or not such events exist. */
export function isPattern(pattern: unknown): pattern is string {
  return typeof pattern === 'string' && /^(\*|[\w-]+\.(\*|[\w-]+))$/.test(pattern);
}

export function matches(pattern: string, eventType: string): boolean {
  if (pattern === '*') return true;
  return pattern.endsWith('.*') ? eventType.startsWith(pattern.slice(0, -1)) : pattern === eventType;
}

/**
 * Says that a pattern matches no event, or probably none, and what was meant; undefined when nothing is wrong with it.
 * An action of one's own, such as 'contact.approved', is right: the webhook's URL may end in any word.
 */
export function doubtAbout(pattern: string): string | undefined {
  if (pattern === '*') return undefined;
  const [module = '', action = ''] = pattern.split('.');
  const known = MODULES.includes(module);
  const intended = known ? module : (moduleFromPath(module)?.name ?? nearest(module.toLowerCase(), MODULES, near));
  if (intended === undefined) return `'${pattern}' matches no event: the modules are ${MODULES.join(', ')}`;
  const actions = actionsMeant(action);
  if (known && actions === undefined) return undefined;
  const suggestions = (actions ?? [action]).map((name) => `'${intended}.${name}'`);
  return `'${pattern}' ${known && isLabel(action) ? 'probably ' : ''}matches no event; did you mean ${suggestions.join(' and ')}?`;
}

/** What an action should be called instead; undefined when it is right as it is. */
function actionsMeant(action: string): string[] | undefined {
  if (action === '*' || ACTIONS.includes(action)) return undefined;
  const meaning = readAction(action);
  if (meaning === 'either') return ['created', 'updated'];
  if (meaning !== null && meaning !== action) return [meaning];
  const meant = nearest(action, ACTIONS, near);
  return meant === undefined ? undefined : [meant];
}

/** True when a webhook's URL could end in this very word and the event's type would keep it. */
function isLabel(action: string): boolean {
  return readAction(action) === action;
}

import { copyable } from './copy.js';
import { KEEPS_DIGITS } from './correct.js';
import { $, button, element, show, tag, time } from './dom.js';
import { number, plural } from './format.js';

/** Draws the dead letters, one by one. */

const ROUNDS = { disabled: true, title: 'This browser would round long ids. Edit with: tds dlq edit' };
const NONE = 'None. Events that fail three times would be listed here.';

/**
 * `shown` is { letters, total, more, text, mayNot }: what is loaded of how many, and what they are filtered by; `deeds`
 * are { retry, edit, discard, release }, called with a letter and the click.
 */
export function renderDeadLetters(shown, me, deeds) {
  const { letters, total, text } = shown;
  const matching = letters.filter((letter) => matches(letter, text));
  $('dead-letters-title').textContent = total > 0 ? `Dead letters (${number(total)})` : 'Dead letters';
  $('more-letters').hidden = !shown.more;
  $('more-letters').textContent = text ? `Search the other ${number(total - letters.length)}` : 'Show more';
  $('letters-shown').textContent = summary(shown, matching.length);
  show($('dead-letters'), { matching, total, mayNot: me.mayNot }, () => [
    ...matching.map((letter) => item(letter, me, deeds)),
    ...(total === 0 ? [element('li', { className: 'empty' }, NONE)] : []),
  ]);
}

export function matches({ id, event_id, original_queue_id, entity_id }, text) {
  const wanted = text.toLowerCase();
  return !text || [id, event_id, original_queue_id].includes(wanted) || (entity_id ?? '').includes(text);
}

function summary({ letters, total, more, text }, matching) {
  if (total === 0) return '';
  const all = more ? `the latest ${number(letters.length)} of ${number(total)}` : `all ${number(letters.length)}`;
  if (text) return `${plural(matching, 'match', 'matches')} among ${all}.`;
  return more ? `The latest ${number(letters.length)} of ${number(total)}.` : '';
}

function item(letter, me, { retry, edit, discard, release }) {
  const isTaken = letter.quarantined_by !== null;
  const isUnread = letter.kind === 'quarantined';
  const name = `${letter.event_type} ${letter.entity_id ?? ''}`.trim();
  const deed = (word, key, work, extra = {}) =>
    button(word, `${key}-${letter.id}`, (click) => work(letter, click), {
      ...{ 'aria-label': `${word} ${name}`, ...extra, ...me.barred },
    });
  const buttons = element(
    'div',
    { className: 'deeds' },
    isTaken ? deed('Release', 'release', release) : deed(isUnread ? 'Parse again' : 'Retry', 'retry', retry),
    !isUnread && deed('Edit', 'edit', edit, KEEPS_DIGITS ? {} : ROUNDS),
    deed('Discard', 'discard', discard),
  );
  return element('li', { className: 'item' }, body(letter), buttons);
}

function body(letter) {
  const { entity_id } = letter;
  return element(
    'div',
    { className: 'body' },
    element(
      'p',
      { className: 'title' },
      tag('critical', letter.error_tag),
      ` ${letter.event_type} `,
      entity_id !== null && copyable(entity_id, `letter-${letter.id}`, 'entity id'),
    ),
    element('p', { className: 'error' }, letter.last_error),
    element('p', { className: 'meta' }, time(letter.moved_to_dlq_at), howItDied(letter), retries(letter)),
    element('p', { className: 'meta' }, 'id ', copyable(letter.id, 'letter')),
    details(letter),
  );
}

function details(letter) {
  const title = letter.payload === null ? 'Body as received' : 'Payload';
  const node = element(
    'details',
    {},
    element('summary', {}, title),
    element('pre', { tabIndex: 0 }, contentOf(letter)),
  );
  node.dataset.key = `details-${letter.id}`;
  return node;
}

function howItDied({ kind, attempt_count, quarantined_by }) {
  if (quarantined_by !== null) return `, taken out of the queue by ${quarantined_by}`;
  return kind === 'quarantined' ? ', quarantined on arrival' : ` after ${plural(attempt_count, 'attempt')}`;
}

function retries({ retry_count }) {
  return retry_count > 0 ? `, retried ${plural(retry_count, 'time')} before` : null;
}

function contentOf({ payload, raw_body_base64 }) {
  if (payload !== null || !raw_body_base64) return JSON.stringify(payload, null, 2);
  return new TextDecoder().decode(Uint8Array.from(atob(raw_body_base64), (char) => char.charCodeAt(0)));
}

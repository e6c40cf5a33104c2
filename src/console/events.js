import { STATUSES } from './board.js';
import { copyable } from './copy.js';
import { $, button, element, show, tag, time } from './dom.js';
import { duration, number, plural } from './format.js';

/** Draws the table of events: the latest, those of one status, or those that were looked for. */

/** `shown` is { events, more, status, text }. */
export function renderEvents(shown, me, retry) {
  const { events, more, status, text } = shown;
  $('events-title').textContent = title(status);
  $('clear-filter').hidden = !status;
  $('no-events').hidden = events.length > 0;
  $('no-events').textContent = nothing(shown);
  $('more-events').hidden = !more;
  $('more-events').textContent = text ? 'Search older events' : 'Show more';
  $('events-shown').textContent = events.length > 0 ? `${plural(events.length, 'event')}, newest first.` : '';
  show($('events'), { events, mayNot: me.mayNot }, () => events.flatMap((event) => rows(event, me, retry)));
}

function title(status) {
  return status ? `Recent events: ${STATUSES[status].toLowerCase()}` : 'Recent events';
}

function nothing({ more, status, text }) {
  if (text) return `No event with this entity or id${status ? ' and status' : ''}${more ? ' among the newest' : ''}.`;
  return status ? 'No event has this status.' : 'No event has arrived yet.';
}

function rows(event, me, retry) {
  const { id, status, event_type, entity_id, attempt_count, queued_at, requeued_at, error_message } = event;
  const cells = [
    cell('Status', {}, tag(status, STATUSES[status]), status === 'dead_letter' && retryButton(event, me, retry)),
    cell('Event', {}, element('div', {}, event_type), element('div', { className: 'meta' }, copyable(id, 'event'))),
    cell('Entity', {}, entity_id === null ? 'none' : copyable(entity_id, `event-${id}`, 'entity id')),
    cell('Attempts', { className: 'number' }, number(attempt_count)),
    cell('Queued', {}, time(requeued_at ?? queued_at)),
    cell('Took', { className: 'number' }, took(event)),
  ];
  const row = element('tr', { role: 'row' }, ...cells);
  if (!error_message) return [row];
  return [
    row,
    element('tr', { className: 'error', role: 'row' }, element('td', { colSpan: 6, role: 'cell' }, error_message)),
  ];
}

// On a telephone the cells stand below each other: each brings its heading, and the roles keep it a table.
function cell(heading, properties, ...content) {
  const node = element('td', { role: 'cell', ...properties }, element('div', {}, ...content));
  node.dataset.heading = heading;
  return node;
}

function retryButton(event, me, retry) {
  const label = `Try again: ${event.event_type} ${event.entity_id ?? ''}`.trim();
  const extra = { className: 'small', 'aria-label': label, ...me.barred };
  return button('Try again', `retry-event-${event.id}`, (click) => retry(event, click), extra);
}

function took({ started_at, completed_at }) {
  if (!started_at || !completed_at) return '–';
  return duration((Date.parse(completed_at) - Date.parse(started_at)) / 1000);
}

import { poll } from './api.js';
import { element, time } from './dom.js';
import { duration, number } from './format.js';

/** What a run has done: its activities and its log, read when somebody opens them and whenever the run has moved on. */

/** What was read of the runs that are open, so that nothing flickers while it is read again. */
const known = new Map();

export function historyOf({ id }) {
  const content = element('div', { className: 'history', tabIndex: 0 });
  const node = element('details', {}, element('summary', {}, 'Activities and log'), content);
  node.dataset.key = `history-${id}`;
  node.addEventListener('toggle', () => (node.open ? load(id, content) : known.delete(id)));
  return node;
}

async function load(id, content) {
  const before = known.get(id);
  if (before) fill(content, before);
  try {
    const run = await poll(`workflows/${id}`);
    known.set(id, run);
    fill(content, run);
  } catch (error) {
    content.replaceChildren(element('p', { className: 'error' }, error.message));
  }
}

function fill(content, { activities, activity_count, log }) {
  content.replaceChildren(
    element('p', { className: 'meta' }, shownOf(activities.length, activity_count)),
    table('Activities', ['Activity', 'Status', 'Attempt', 'Began', 'Took'], activities.flatMap(activityRows)),
    table('Log', ['When', 'Activity', 'What happened'], log.map(logRow)),
  );
}

function shownOf(shown, total) {
  return shown < total
    ? `The latest ${number(shown)} of ${number(total)} activities.`
    : `Activities: ${number(total)}.`;
}

function table(label, headings, rows) {
  const head = headings.map((heading) => element('th', { scope: 'col' }, heading));
  return element(
    'table',
    { className: 'plain', 'aria-label': label },
    element('thead', {}, element('tr', {}, head)),
    element('tbody', {}, rows),
  );
}

function activityRows({ name, status, attempt, started_at, completed_at, error }) {
  const took = completed_at === null ? '–' : duration((Date.parse(completed_at) - Date.parse(started_at)) / 1000);
  const row = cells(name, status, number(attempt), time(started_at), took);
  if (error === null) return [row];
  const message = element('td', { colSpan: 5, className: 'error' }, `${error.tag}: ${error.message}`);
  return [row, element('tr', {}, message)];
}

function logRow({ created_at, activity_name, message }) {
  return cells(time(created_at), activity_name ?? '–', message);
}

function cells(...contents) {
  return element(
    'tr',
    {},
    contents.map((content) => element('td', {}, content)),
  );
}

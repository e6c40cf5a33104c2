import { button, element, number, plural, show, time } from './dom.js';

/** Draws each part of the board from the API's answers. Nothing here asks the server or keeps state. */

const $ = (id) => document.getElementById(id);

const STATUSES = {
  pending: 'Pending',
  processing: 'Processing',
  retry: 'Retry',
  completed: 'Completed',
  dead_letter: 'Dead letter',
};

export function renderVerdict({ level, sentence, advice, command }) {
  $('verdict').dataset.level = level;
  // Left alone while it says the same: a screen reader reads every change aloud.
  show($('verdict-sentence'), sentence, () => [sentence]);
  show($('verdict-advice'), { advice, command }, () =>
    [advice, command && element('code', {}, command)].flatMap((part) => (part ? [part, ' '] : [])),
  );
  document.title = level === 'ok' ? 'TDS Core' : `${sentence} TDS Core`;
}

export function renderCounts(byStatus, chosen, choose) {
  show($('counts'), { byStatus, chosen }, () =>
    Object.entries(STATUSES).map(([status, label]) => {
      const count = byStatus[status];
      const pressed = chosen === status;
      const node = button('', status, () => choose(pressed ? null : status), { 'aria-pressed': String(pressed) });
      node.dataset.status = status;
      node.dataset.some = String(count > 0);
      node.append(
        element('span', { className: 'label' }, label),
        element('span', { className: 'count' }, number(count)),
      );
      return node;
    }),
  );
}

export function renderLastHour({ processing, queue, database }) {
  const { total_processed, success_rate_percent, avg_duration_seconds } = processing.last_hour;
  const figures = [
    ['Attempts in the last hour', number(total_processed)],
    ['Succeeded', `${number(success_rate_percent)} %`],
    ['Average duration', duration(avg_duration_seconds)],
    ['Oldest waiting', queue.oldest_pending_age_seconds === 0 ? 'none' : duration(queue.oldest_pending_age_seconds)],
    ['Database connections', number(database.active_connections)],
  ];
  show($('last-hour'), figures, () =>
    figures.map(([term, value]) => element('div', {}, element('dt', {}, term), element('dd', {}, value))),
  );
}

export function renderAlerts(metrics, acknowledge) {
  const { active_alerts: active, acknowledged_alerts: acknowledged } = metrics;
  const alerts = [...active, ...acknowledged].map(({ last_seen_at, ...alert }) => alert);
  $('alerts-section').hidden = alerts.length === 0;
  show($('alerts'), alerts, () =>
    alerts.map((alert) =>
      element(
        'li',
        { className: 'item' },
        element(
          'div',
          { className: 'body' },
          element('p', { className: 'title' }, tag(alert.severity, alert.severity), ` ${alert.title}`),
          element('p', {}, alert.message),
          element('p', { className: 'meta' }, 'fired ', time(alert.fired_at), acknowledgement(alert)),
        ),
        alert.acknowledged_at === null &&
          button('Acknowledge', `ack-${alert.id}`, (event) => acknowledge(alert, event.currentTarget), {
            'aria-label': `Acknowledge ${alert.title}`,
          }),
      ),
    ),
  );
}

function acknowledgement({ acknowledged_by }) {
  return acknowledged_by === null ? null : `, acknowledged by ${acknowledged_by}`;
}

export function renderDeadLetters(letters, total, retry) {
  $('dead-letters-title').textContent = total > 0 ? `Dead letters (${number(total)})` : 'Dead letters';
  show($('dead-letters'), { letters, total }, () =>
    [
      ...letters.map((letter) => deadLetter(letter, retry)),
      total > letters.length &&
        element('li', { className: 'empty' }, `The latest ${letters.length} of ${number(total)}.`),
      total === 0 && element('li', { className: 'empty' }, 'None. Events that fail three times would be listed here.'),
    ].filter(Boolean),
  );
}

function deadLetter(letter, retry) {
  const name = `${letter.event_type} ${letter.entity_id ?? ''}`.trim();
  const details = element(
    'details',
    {},
    element('summary', {}, letter.kind === 'quarantined' ? 'Body as received' : 'Payload'),
    element('pre', {}, contentOf(letter)),
  );
  details.dataset.key = `details-${letter.id}`;
  const body = element(
    'div',
    { className: 'body' },
    element(
      'p',
      { className: 'title' },
      tag('critical', letter.error_tag),
      ` ${letter.event_type} `,
      element('code', {}, letter.entity_id ?? ''),
    ),
    element('p', { className: 'error' }, letter.last_error),
    element('p', { className: 'meta' }, time(letter.moved_to_dlq_at), howItDied(letter), retries(letter)),
    details,
  );
  const canRetry = letter.kind === 'failed';
  const act = (event) => retry(letter, event.currentTarget);
  return element(
    'li',
    { className: 'item' },
    body,
    canRetry && button('Retry', `retry-${letter.id}`, act, { 'aria-label': `Retry ${name}` }),
  );
}

function howItDied({ kind, attempt_count }) {
  return kind === 'quarantined' ? ', quarantined on arrival' : ` after ${plural(attempt_count, 'attempt')}`;
}

function retries({ retry_count }) {
  return retry_count > 0 ? `, retried ${plural(retry_count, 'time')} before` : null;
}

function contentOf({ payload, raw_body_base64 }) {
  if (payload !== null || !raw_body_base64) return JSON.stringify(payload, null, 2);
  return new TextDecoder().decode(Uint8Array.from(atob(raw_body_base64), (char) => char.charCodeAt(0)));
}

export function renderEvents(events, chosen) {
  $('events-title').textContent = chosen ? `Recent events: ${STATUSES[chosen].toLowerCase()}` : 'Recent events';
  $('clear-filter').hidden = !chosen;
  $('no-events').hidden = events.length > 0;
  $('no-events').textContent = chosen ? 'No event has this status.' : 'No event has arrived yet.';
  show($('events'), events, () => events.flatMap(eventRows));
}

function eventRows(event) {
  const { status, event_type, entity_id, attempt_count, queued_at, started_at, completed_at, error_message } = event;
  const took = started_at && completed_at ? duration((Date.parse(completed_at) - Date.parse(started_at)) / 1000) : '';
  const row = element(
    'tr',
    {},
    element('td', {}, tag(status, STATUSES[status])),
    element('td', {}, event_type),
    element('td', {}, element('code', {}, entity_id ?? '')),
    element('td', { className: 'number' }, String(attempt_count)),
    element('td', {}, time(queued_at)),
    element('td', { className: 'number' }, took),
  );
  if (!error_message) return [row];
  return [row, element('tr', { className: 'error' }, element('td'), element('td', { colSpan: 5 }, error_message))];
}

function tag(kind, label) {
  const node = element('span', { className: 'tag' }, label);
  node.dataset.kind = kind;
  return node;
}

function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${number(Math.round(seconds * 10) / 10)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

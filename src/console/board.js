import { askForText } from './dialog.js';
import { $, button, element, show, tag, time } from './dom.js';
import { duration, number, plural } from './format.js';

/** Draws what is read at a glance: verdict, counts, figures, workers, alerts. It neither asks the server nor keeps state. */

export const STATUSES = {
  pending: 'Pending',
  processing: 'Processing',
  retry: 'Retry',
  completed: 'Completed',
  dead_letter: 'Dead letter',
};

export function renderVerdict({ level, sentence, advice, command }) {
  $('verdict').hidden = false;
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

export function renderFigures({ processing, queue, database }, workers) {
  const { total_processed, success_rate_percent, avg_duration_seconds } = processing.last_hour;
  const figures = [
    ['Attempts in the last hour', number(total_processed)],
    ['Succeeded', `${number(success_rate_percent)} %`],
    ['Average duration', duration(avg_duration_seconds)],
    ['Oldest waiting', queue.oldest_pending_age_seconds === 0 ? 'none' : duration(queue.oldest_pending_age_seconds)],
    ['Database connections', number(database.active_connections)],
    ['Workers', describeWorkers(workers)],
  ];
  $('last-hour').dataset.workers = workers?.alive === 0 ? 'none' : 'some';
  show($('last-hour'), figures, () =>
    figures.map(([term, value]) => element('div', {}, element('dt', {}, term), element('dd', {}, value))),
  );
}

/** '2 alive, oldest heartbeat 4 s ago, 7 events in hand'; only what is known. */
function describeWorkers({ alive, oldest_heartbeat_age_seconds: age, in_flight } = {}) {
  if (typeof alive !== 'number') return 'unknown';
  if (alive === 0) return 'none alive';
  const heartbeat = typeof age === 'number' && `${alive === 1 ? 'heartbeat' : 'oldest heartbeat'} ${duration(age)} ago`;
  const inHand = typeof in_flight === 'number' && `${plural(in_flight, 'event')} in hand`;
  return [`${number(alive)} alive`, heartbeat, inHand].filter(Boolean).join(', ');
}

export function renderAlerts(metrics, me, acknowledge) {
  const { active_alerts: active, acknowledged_alerts: acknowledged } = metrics;
  const alerts = [...active, ...acknowledged].map(({ last_seen_at, ...alert }) => alert);
  $('alerts-section').hidden = alerts.length === 0;
  show($('alerts'), { alerts, mayNot: me.mayNot }, () => alerts.map((alert) => alertItem(alert, me, acknowledge)));
}

function alertItem(alert, me, acknowledge) {
  const body = element(
    'div',
    { className: 'body' },
    element('p', { className: 'title' }, tag(alert.severity, alert.severity), ` ${alert.title}`),
    element('p', {}, alert.message),
    alert.likely_cause && element('p', {}, element('b', {}, 'Likely cause: '), alert.likely_cause),
    alert.runbook_step && element('p', {}, element('b', {}, 'Next step: '), alert.runbook_step, ' ', runbook(alert)),
    element('p', { className: 'meta' }, 'fired ', time(alert.fired_at), acknowledgement(alert)),
  );
  const act = (click) => acknowledge(alert, click);
  const extra = { 'aria-label': `Acknowledge ${alert.title}`, ...me.barred };
  const isOpen = alert.acknowledged_at === null;
  return element('li', { className: 'item' }, body, isOpen && button('Acknowledge', `ack-${alert.id}`, act, extra));
}

/** A link where RUNBOOK_URL is an address; otherwise the place in the documents that came with the release. */
function runbook({ runbook: place, title }) {
  if (!/^https?:/.test(place)) return element('code', {}, place);
  return element('a', { href: place, 'aria-label': `Runbook of ${title}` }, 'Runbook');
}

function acknowledgement({ acknowledged_by, acknowledgement_note: note }) {
  return acknowledged_by === null ? null : `, acknowledged by ${acknowledged_by}${note ? `: ${note}` : ''}`;
}

/** Asks for a note; resolves to the text, which may be empty, or to null. Esc is no. */
export function askForNote({ title }) {
  return askForText('acknowledge', `Acknowledge ${title}?`, 'acknowledge-note');
}

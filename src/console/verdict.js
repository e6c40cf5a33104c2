import { number, plural } from './dom.js';

const START_WORKER = 'systemctl start tds-core-worker';

/**
 * The one sentence an operator reads first: how bad it is, what is wrong, what to do. Severest cause first.
 * `workers` is the number of live workers, undefined when unknown.
 */
export function judge(metrics, workers) {
  const { queue, active_alerts: alerts } = metrics;
  const waiting = queue.by_status.pending + queue.by_status.retry;
  if (workers === 0 && waiting > 0) {
    return say('critical', `No worker is running, and ${plural(waiting, 'event')} wait.`, 'Start one:', START_WORKER);
  }
  if (alerts.length > 0) return ofAlerts(alerts);
  if (workers === 0) {
    return say('warning', 'No worker is running.', 'Webhooks are kept until one is. Start one:', START_WORKER);
  }
  if (queue.dead_letter_count > 0) {
    const sentence = `${plural(queue.dead_letter_count, 'event')} could not be processed.`;
    return say('warning', sentence, 'Read the errors under Dead letters, remove the cause, then retry.');
  }
  return allWell(metrics, waiting);
}

/** An alert's message is a sentence that says what is wrong, then what to do. */
function ofAlerts([first, ...others]) {
  const end = first.message.indexOf('. ') + 1;
  const more = others.length > 0 ? ` ${plural(others.length, 'more alert')} below.` : '';
  return say(first.severity, first.message.slice(0, end), first.message.slice(end + 1) + more);
}

function allWell({ processing, acknowledged_alerts: acknowledged }, waiting) {
  const { succeeded, success_rate_percent: rate } = processing.last_hour;
  const queue =
    waiting === 0 ? 'Nothing waits, nothing failed.' : `${plural(waiting, 'event')} in line, nothing failed.`;
  const hour =
    succeeded === 0
      ? 'No events in the last hour.'
      : `${plural(succeeded, 'event')} in the last hour, ${number(rate)} % of attempts succeeded.`;
  if (acknowledged.length === 0) return say('ok', 'All is well.', `${queue} ${hour}`);
  return say('ok', 'Nothing new.', `${plural(acknowledged.length, 'acknowledged alert')} still firing. ${hour}`);
}

function say(level, sentence, advice, command = '') {
  return { level, sentence, advice, command };
}

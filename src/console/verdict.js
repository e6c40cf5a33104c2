import { Away } from './api.js';
import { number, plural } from './format.js';

/** What helps when no worker lives, by what looks after the processes here. `restart` also ends one that hangs. */
const WORKER = {
  systemd: ['Restart it:', 'systemctl restart tds-core-worker'],
  'npm start': [
    'npm start starts it again by itself; its terminal says why it ended. If none comes, end npm start with Ctrl-C and run it again:',
    'npm start',
  ],
  none: ['Restart it (without systemd: npm run worker):', 'systemctl restart tds-core-worker'],
};
const API = { systemd: 'systemctl status tds-core-api' };
const DATABASE = { systemd: 'systemctl status postgresql' };

/**
 * The one sentence an operator reads first: how bad it is, what is wrong, what to do. Severest cause first.
 * `workers.alive` is the number of live workers, undefined when unknown.
 */
export function judge(metrics, workers, supervisor) {
  const { queue } = metrics;
  // What is for information only is listed below; it is no reason to call anything unwell.
  const alerts = metrics.active_alerts.filter(({ severity }) => severity !== 'info');
  const waiting = queue.by_status.pending + queue.by_status.retry;
  const [advice, command] = WORKER[supervisor] ?? WORKER.none;
  if (workers?.alive === 0 && waiting > 0) {
    return say('critical', `No worker is running, and ${plural(waiting, 'event')} wait.`, advice, command);
  }
  if (alerts.length > 0) return ofAlerts(alerts);
  if (workers?.alive === 0) {
    return say('warning', 'No worker is running.', `Webhooks are kept until one is. ${advice}`, command);
  }
  if (queue.dead_letter_count > 0) {
    const sentence = `${plural(queue.dead_letter_count, 'event')} could not be processed.`;
    return say('warning', sentence, 'Read the errors under Dead letters, remove the cause, then retry.');
  }
  return allWell(metrics, waiting);
}

/** What to say instead when the API gives no figures. `since` is the time of the last ones, undefined without. */
export function judgeFailure(error, since, supervisor) {
  const shown = since ? ` What you see is from ${since}.` : '';
  if (error instanceof Away) {
    const gone = since ? `No answer from the API since ${since}. What you see is from then.` : '';
    return say('critical', 'The API does not answer.', `${gone} Is tds-core-api running?`, API[supervisor]);
  }
  if (error.code === 'database_unavailable') {
    const advice = `The API runs, but PostgreSQL does not answer it. Webhooks are refused (503) until it does.${shown}`;
    return say('critical', 'The database is away.', advice, DATABASE[supervisor]);
  }
  if (error.code === 'not_migrated')
    return say('critical', 'The database is not migrated.', `${error.message}${shown}`);
  if (error.status === 403) return say('critical', 'The API refuses this page.', error.message);
  return say('critical', 'The API gives no figures.', `${error.message}${shown}`);
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

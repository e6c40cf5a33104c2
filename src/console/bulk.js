import { Away, get, post, Refusal, SignInNeeded } from './api.js';
import { $, element } from './dom.js';
import { number, plural } from './format.js';
import { retryLabel } from './groups.js';

/** Retries a group of dead letters, one after the other, and shows how far it is. One group at a time. */

const MAX_FAILURES_SHOWN = 20;

let run = null;

export function isRunning() {
  return run !== null;
}

/** Retries every letter of the group and resolves when it is over, however it ends. */
export async function retryGroup(group) {
  run = { total: group.count, done: 0, failures: [], stopped: false, ended: null };
  open(group);
  try {
    const { ids } = await get(`dead-letter/groups/${group.key}`);
    run.total = ids.length;
    await retryAll(ids);
  } catch (error) {
    run.ended = error;
  }
  close();
}

async function retryAll(ids) {
  for (const id of ids) {
    if (run.stopped) return;
    draw();
    try {
      await post(`dead-letter/${id}/retry`);
      run.done += 1;
    } catch (error) {
      if (endsAll(error)) throw error;
      run.failures.push({ id, message: error.message });
    }
  }
}

/** What would happen to each of the rest as well: not signed in, not allowed, nobody there. */
function endsAll(error) {
  return (
    error instanceof SignInNeeded || error instanceof Away || (error instanceof Refusal && ENDING.has(error.status))
  );
}

const ENDING = new Set([403, 503]);

function open(group) {
  $('bulk-title').textContent = `${retryLabel(group)}: ${group.error_tag}`;
  $('bulk-stop').hidden = false;
  $('bulk-close').hidden = true;
  $('bulk-progress').hidden = false;
  $('bulk-count').hidden = false;
  $('bulk-outcome').textContent = '';
  $('bulk').hidden = false;
  draw();
  $('bulk-stop').focus();
}

function draw() {
  const { total, done, failures } = run;
  $('bulk-progress').max = Math.max(total, 1);
  $('bulk-progress').value = done + failures.length;
  $('bulk-count').textContent = `${number(done + failures.length)} of ${number(total)}${failed(failures)}`;
  const listed = failures.slice(0, MAX_FAILURES_SHOWN).map(({ id, message }) => element('li', {}, `${id}: ${message}`));
  const rest = failures.length - listed.length;
  $('bulk-failures').replaceChildren(...listed, rest > 0 ? element('li', {}, `and ${number(rest)} more`) : '');
}

function failed(failures) {
  return failures.length > 0 ? `, ${number(failures.length)} failed` : '';
}

function close() {
  draw();
  $('bulk-count').hidden = true;
  $('bulk-outcome').textContent = outcome();
  $('bulk-progress').hidden = true;
  $('bulk-stop').hidden = true;
  $('bulk-close').hidden = false;
  $('bulk-close').focus();
  run = null;
}

/** '118 back in the queue, 2 failed.' and why it ended early, if it did. */
function outcome() {
  const { total, done, failures, stopped, ended } = run;
  const rest = total - done - failures.length;
  const untouched = rest > 0 ? ` ${plural(rest, 'dead letter')} left as they were.` : '';
  const why = ended ? ` It ended: ${ended.message}` : stopped && rest > 0 ? ' Stopped by you.' : '';
  return `${number(done)} back in the queue${failed(failures)}.${why}${untouched}`;
}

$('bulk-stop').addEventListener('click', () => {
  if (run) run.stopped = true;
});
$('bulk-close').addEventListener('click', () => {
  $('bulk').hidden = true;
  $('dead-letters-title').focus();
});
addEventListener('beforeunload', (event) => {
  if (run) event.preventDefault();
});

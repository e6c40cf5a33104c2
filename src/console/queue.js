import { post } from './api.js';
import { askForText, confirm } from './dialog.js';
import { $, button, element, show, time } from './dom.js';
import { plural } from './format.js';
import { say } from './message.js';

/** What an operator does with the queue as a whole. Each deed first asks the API what it would do, and tells it. */

/** `changed` is called when there is something new to show. */
export function renderQueueDeeds({ pause }, deadLetters, me, changed) {
  const { paused } = pause;
  $('retry-all').hidden = deadLetters < 2;
  show($('retry-all'), me.mayNot ?? '', () => [deed('Retry all failed', retryAll, me, changed)]);
  show($('pause-note'), pause, () => (paused ? [pauseNote(pause)] : []));
  show($('queue-deeds'), { paused, mayNot: me.mayNot }, () => [
    paused ? deed('Resume', resume, me, changed) : deed('Pause', pauseQueue, me, changed),
    deed('Run what waits', runWaiting, me, changed),
    deed('Release stuck events', releaseStuck, me, changed),
    deed('Rebuild', rebuild, me, changed),
  ]);
}

function pauseNote({ paused_by, paused_at, reason }) {
  return element('p', { className: 'note' }, `Paused by ${paused_by}: ${reason}. `, time(paused_at));
}

/** A button that is dead while its work is under way. `work` resolves with what to say; null: the operator left. */
function deed(label, work, me, changed) {
  const run = async ({ currentTarget: clicked }) => {
    if (clicked.getAttribute('aria-disabled') === 'true') return;
    clicked.setAttribute('aria-disabled', 'true');
    try {
      const told = await work();
      if (told !== null) say(told);
    } catch (error) {
      say(error.message, 'failed');
    }
    clicked.removeAttribute('aria-disabled');
    changed();
  };
  // Pause and Resume are one button to whoever uses the keyboard.
  return button(label, label === 'Resume' ? 'Pause' : label, run, me.barred);
}

async function pauseQueue() {
  const reason = await askForText('pause', 'Pause the queue?', 'pause-reason');
  if (reason === null) return null;
  await post('queue/pause', { reason });
  return 'Paused. Webhooks are kept, and what is in hand finishes.';
}

async function resume() {
  await post('queue/resume');
  return 'The queue goes on.';
}

async function runWaiting() {
  return (await post('../api/jobs/process-pending')).message;
}

async function releaseStuck() {
  const { events } = await post('queue/release-stuck?dry_run=true');
  if (events === 0) return 'No event has been in hand for over an hour.';
  const text =
    'A worker has had them in hand for over an hour. They wait again, and it can write nothing of them any more.';
  if (!(await confirm({ title: `Release ${plural(events, 'event')}?`, text, yes: 'Release' }))) return null;
  const released = await post('queue/release-stuck');
  return `${plural(released.events, 'event')} released.`;
}

async function rebuild() {
  const { differences } = await post('queue/rebuild?dry_run=true');
  if (differences.length === 0) return 'All counts and lists agree with the queue: nothing to rebuild.';
  const list = differences.map(({ what, was, is_now }) => `${what}: ${was} instead of ${is_now}`).join('; ');
  const text = `${list}. Webhooks wait for the moment it takes.`;
  if (!(await confirm({ title: 'Rebuild what follows from the queue?', text, yes: 'Rebuild' }))) return null;
  const done = await post('queue/rebuild');
  return `Rebuilt: ${plural(done.differences.length, 'difference')} put right.`;
}

async function retryAll() {
  const { count, permanent } = await post('dead-letter/retry?dry_run=true', { filter: {} });
  if (count === 0) return 'Nothing can be retried: what an operator took out of the queue waits for its release.';
  const hopeless =
    permanent > 0 ? `${plural(permanent, 'event')} failed for a cause that a retry alone does not cure. ` : '';
  $('retry-all-text').textContent =
    `${hopeless}The first one goes alone, then ten, then the rest; too many failures stop it.`;
  const reason = await askForText('retry-all-dialog', `Retry ${plural(count, 'dead letter')}?`, 'retry-all-reason');
  if (reason === null) return null;
  const run = await post('dead-letter/retry', { filter: {}, force: true, reason });
  return `Retry of ${plural(run.total, 'dead letter')} begun.`;
}

import { $, button, element, show, time } from './dom.js';
import { number, plural } from './format.js';

/** Draws how far the latest retry of many dead letters is, and what an operator may do with it. */

/** How long an ended run is still shown, so that whoever began it learns how it ended. */
const SHOWN_AFTER_END_MS = 3_600_000;
const DEEDS = { running: ['Pause', 'Cancel'], paused: ['Resume', 'Cancel'] };

/** `run` is undefined when there was none; `operate` is called with the run, the deed and the click. */
export function renderRetryRun(run, me, operate) {
  const isShown = run !== undefined && !(Date.now() - Date.parse(run.ended_at) > SHOWN_AFTER_END_MS);
  $('retry-run').hidden = !isShown;
  show($('retry-run'), { run: isShown && run, mayNot: me.mayNot }, () => (isShown ? body(run, me, operate) : []));
}

function body(run, me, operate) {
  const { total, waiting, status, status_reason, created_by, created_at, ended_at } = run;
  const title = `Retry of ${plural(total, 'dead letter')}: ${status}`;
  const deeds = DEEDS[status] ?? [];
  const done = total - waiting;
  return [
    element('p', { className: 'title', id: 'retry-run-title' }, title),
    element('progress', { max: total, value: done, 'aria-labelledby': 'retry-run-title' }),
    element('p', {}, counts(run)),
    status_reason && element('p', { className: 'error' }, status_reason),
    element(
      'p',
      { className: 'meta' },
      `By ${created_by} `,
      time(created_at),
      ended_at && [', ended ', time(ended_at)],
    ),
    deeds.length > 0 && element('p', {}, ...deeds.map((deed) => control(run, deed, me, operate))),
  ].filter((part) => part !== null && part !== false);
}

function counts({ completed, failed, in_queue, waiting, skipped }) {
  return [
    `${number(completed)} completed`,
    `${number(failed)} failed again`,
    `${number(in_queue)} in the queue`,
    `${number(waiting)} to come`,
    ...(skipped > 0 ? [`${number(skipped)} were open no more`] : []),
  ].join(', ');
}

/** Pause and Resume are one button to whoever uses the keyboard. */
function control(run, deed, me, operate) {
  const key = `retry-run-${deed === 'Resume' ? 'Pause' : deed}`;
  const attributes = { 'aria-label': `${deed} the retry`, ...me.barred };
  return [button(deed, key, (click) => operate(run, deed, click), attributes), ' '];
}

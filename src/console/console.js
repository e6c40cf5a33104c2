import { act, actOn } from './actions.js';
import { SignInNeeded } from './api.js';
import { ask, askAnew, events, letters, runs } from './ask.js';
import { askForNote, renderAlerts, renderCounts, renderFigures, renderVerdict } from './board.js';
import { isRunning, retryGroup } from './bulk.js';
import { discardLetter, editLetter } from './correct.js';
import { $, ageTimes } from './dom.js';
import { renderEvents } from './events.js';
import { confirmRetry, renderGroups } from './groups.js';
import { isHeld, onRelease } from './hold.js';
import { renderDeadLetters } from './letters.js';
import { go, place } from './place.js';
import { renderActivity } from './plot.js';
import { renderQueueDeeds } from './queue.js';
import { renderRetryRun } from './retry-run.js';
import { operateRun } from './run-deeds.js';
import { renderRuns } from './runs.js';
import { askForToken, caller, meet, onSignIn } from './session.js';
import { judge, judgeFailure } from './verdict.js';

/** The page's clock: when to ask, what to draw, what follows from a click. */

const REFRESH_MS = 5000;
const SLOWEST_MS = 15_000;
const HELD = 'The rows keep their places until the pointer moves.';

let latest = null;
let answeredAt = null;
let failures = 0;
let timer;
let latestRefresh = 0;

async function refresh() {
  clearTimeout(timer);
  const mine = ++latestRefresh;
  const answers = await meet()
    .then(ask)
    .catch((error) => ({ error }));
  // A slower, older answer must not overwrite a newer one, such as that of another filter.
  if (mine !== latestRefresh) return;
  if (answers.error) explain(answers.error);
  else accept(answers);
  const pause = Math.min(REFRESH_MS * 2 ** failures, SLOWEST_MS);
  if (!document.hidden && $('sign-in').hidden) timer = setTimeout(refresh, pause);
}

function accept(answers) {
  latest = answers;
  answeredAt = new Date();
  failures = 0;
  $('board').hidden = false;
  $('sign-in').hidden = true;
  document.body.classList.remove('is-stale');
  draw();
}

/** Draws the latest answers; while the page is held, only what cannot move a row. */
function draw() {
  if (!latest) return;
  const { metrics, workers, activity, groups } = latest;
  const { status, text, runStatus, runText } = place();
  const me = caller();
  const total = metrics.queue.dead_letter_count;
  renderCounts(metrics.queue.by_status, status, choose);
  $('freshness').textContent = isHeld() ? HELD : `As of ${clock()}, refreshed every ${REFRESH_MS / 1000} seconds.`;
  if (isHeld()) return;
  renderVerdict(judge(metrics, workers, me.supervisor));
  renderFigures(metrics, workers);
  renderQueueDeeds(metrics.queue, total, me, refreshAnew);
  renderAlerts(metrics, me, acknowledge);
  renderActivity(activity);
  renderGroups(groups, total, me, isRunning(), retryThese);
  // Unknown while it cannot be read: what is shown of it stays.
  if (latest.retries) renderRetryRun(latest.retries[0], me, controlRetry);
  renderDeadLetters({ letters: latest.letters.rows, more: latest.letters.more, total, text }, me, {
    retry,
    edit,
    discard,
    release,
  });
  renderEvents({ events: latest.events.rows, more: latest.events.more, status, text }, me, retryEvent);
  // Unknown while their list cannot be read: what is shown of them stays.
  if (latest.runs) {
    const { rows, more } = latest.runs;
    renderRuns({ runs: rows, more, isFiltered: Boolean(runStatus || runText) }, me, operate);
  }
  ageTimes();
}

function explain(error) {
  if (error instanceof SignInNeeded) return askForToken();
  failures += 1;
  $('sign-in').hidden = true;
  renderVerdict(judgeFailure(error, answeredAt && clock(), caller().supervisor));
  document.body.classList.toggle('is-stale', answeredAt !== null);
}

function clock() {
  return answeredAt.toLocaleTimeString();
}

async function choose(status) {
  go({ status });
  await showPlace();
  if (!status) return;
  const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth';
  $('events-title').focus({ preventScroll: true });
  $('events-title').scrollIntoView({ behavior, block: 'start' });
}

/** After the address has changed: by a filter, a search, or the back button. */
function showPlace() {
  const { text, runStatus, runText } = place();
  $('runs-status').value = runStatus ?? '';
  $('runs-text').value = runText;
  $('find').value = text;
  $('clear-find').hidden = !text;
  letters.shrink();
  events.shrink();
  runs.shrink();
  return refresh();
}

async function acknowledge(alert, click) {
  // It belongs to the click only until we wait.
  const clicked = click.currentTarget;
  if (clicked.getAttribute('aria-disabled') === 'true') return;
  const note = await askForNote(alert);
  if (note === null) return;
  const body = note === '' ? undefined : { note };
  const done = `${alert.title}: acknowledged.`;
  if (await actOn(click, clicked, `alerts/${alert.id}/acknowledge`, done, body)) refreshAnew();
}

async function retry(letter, click) {
  if (await act(click, `dead-letter/${letter.id}/retry`, `${letter.event_type}: back in the queue.`)) refreshAnew();
}

async function edit(letter) {
  if (await editLetter(letter)) refreshAnew();
}

async function discard(letter, click) {
  if (await discardLetter(letter, click)) refreshAnew();
}

async function release(letter, click) {
  const path = `../api/admin/events/${letter.id}/release`;
  if (await act(click, path, `${letter.event_type}: released, it waits in the queue again.`)) refreshAnew();
}

/** An event and its dead letter have the same id. */
function retryEvent(event, click) {
  return retry(event, click);
}

async function operate(run, deed, click) {
  if (await operateRun(run, deed, click)) refreshAnew();
}

async function retryThese(group) {
  if (isRunning() || !(await confirmRetry(group))) return;
  const over = retryGroup(group);
  draw();
  await over;
  refreshAnew();
}

async function controlRetry(run, deed, click) {
  const done = { Pause: 'The retry is paused.', Resume: 'The retry goes on.', Cancel: 'The retry is cancelled.' };
  if (await act(click, `dead-letter/retries/${run.id}/${deed.toLowerCase()}`, done[deed])) refreshAnew();
}

function refreshAnew() {
  askAnew();
  return refresh();
}

function more(list, pages) {
  list.grow(pages);
  refresh();
}

onRelease(draw);
onSignIn(refresh);
$('clear-filter').addEventListener('click', () => choose(null));
$('more-events').addEventListener('click', () => more(events));
$('more-letters').addEventListener('click', () => more(letters, place().text ? Number.POSITIVE_INFINITY : 1));
$('find-form').addEventListener('submit', (event) => {
  event.preventDefault();
  go({ text: $('find').value.trim() });
  showPlace();
});
$('clear-find').addEventListener('click', () => {
  go({ text: '' });
  $('find').focus();
  showPlace();
});
$('more-runs').addEventListener('click', () => more(runs));
$('runs-form').addEventListener('submit', (event) => {
  event.preventDefault();
  go({ runStatus: $('runs-status').value, runText: $('runs-text').value.trim() });
  showPlace();
});
addEventListener('popstate', showPlace);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh();
});
showPlace();

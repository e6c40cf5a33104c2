import { Away, get, isSignedIn, post, SignInNeeded, signIn, signOut } from './api.js';
import { ageTimes } from './dom.js';
import {
  renderAlerts,
  renderCounts,
  renderDeadLetters,
  renderEvents,
  renderLastHour,
  renderVerdict,
} from './render.js';
import { judge } from './verdict.js';

/** The page's state and its clock: what is chosen, when the last answer came, when to ask again. */

const REFRESH_MS = 5000;
const DEAD_LETTERS = 20;
const EVENTS = 50;
const $ = (id) => document.getElementById(id);

let chosen = null;
let answeredAt = null;
let timer;
let latestRefresh = 0;

async function refresh() {
  clearTimeout(timer);
  const mine = ++latestRefresh;
  try {
    const answers = await ask();
    // A slower, older answer must not overwrite a newer one, such as that of another filter.
    if (mine === latestRefresh) draw(answers);
  } catch (error) {
    if (mine === latestRefresh) explain(error);
  }
  if (mine === latestRefresh && !document.hidden && $('sign-in').hidden) timer = setTimeout(refresh, REFRESH_MS);
}

async function ask() {
  const filter = chosen ? `&status_filter=${chosen}` : '';
  const [metrics, letters, events, ready] = await Promise.all([
    get('metrics'),
    get(`dead-letter?limit=${DEAD_LETTERS}`),
    get(`recent-events?limit=${EVENTS}${filter}`),
    get('../readyz?verbose').catch(() => ({})),
  ]);
  return { metrics, letters, events, workers: ready.workers?.alive };
}

function draw({ metrics, letters, events, workers }) {
  answeredAt = new Date();
  $('board').hidden = false;
  $('sign-in').hidden = true;
  $('sign-out').hidden = !isSignedIn();
  $('stale').hidden = true;
  document.body.classList.remove('is-stale');
  renderVerdict(judge(metrics, workers));
  renderCounts(metrics.queue.by_status, chosen, choose);
  renderLastHour(metrics);
  renderAlerts(metrics, acknowledge);
  renderDeadLetters(letters, metrics.queue.dead_letter_count, retry);
  renderEvents(events, chosen);
  $('freshness').textContent =
    `As of ${answeredAt.toLocaleTimeString()}, refreshed every ${REFRESH_MS / 1000} seconds.`;
  ageTimes();
}

function explain(error) {
  if (error instanceof SignInNeeded) return askForToken();
  if ($('board').hidden)
    $('stale').textContent =
      error instanceof Away ? 'The API does not answer. Is tds-core-api running?' : error.message;
  else
    $('stale').textContent =
      `No answer from the API since ${answeredAt.toLocaleTimeString()}. What you see is from then.`;
  $('stale').hidden = false;
  document.body.classList.toggle('is-stale', !$('board').hidden);
}

function askForToken() {
  if (isSignedIn()) $('sign-in-hint').textContent = 'That token is not valid. Enter another one.';
  signOut();
  $('board').hidden = true;
  $('sign-out').hidden = true;
  $('sign-in').hidden = false;
  $('token').focus();
}

function choose(status) {
  chosen = status;
  refresh();
}

function acknowledge(alert, clicked) {
  return act(clicked, `alerts/${alert.id}/acknowledge`, `${alert.title}: acknowledged.`);
}

function retry(letter, clicked) {
  return act(clicked, `dead-letter/${letter.id}/retry`, `${letter.event_type}: back in the queue.`);
}

/** One operator action: no double click, a word about the result, and fresh data at once. */
async function act(clicked, path, done) {
  clicked.disabled = true;
  try {
    await post(path);
    say(done);
  } catch (error) {
    say(error.message, 'failed');
    clicked.disabled = false;
  }
  await refresh();
}

let silence;
function say(text, kind = 'done') {
  clearTimeout(silence);
  $('message').textContent = text;
  $('message').dataset.kind = kind;
  silence = setTimeout(() => {
    $('message').textContent = '';
  }, 6000);
}

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  signIn($('token').value.trim());
  $('token').value = '';
  $('sign-in').hidden = true;
  refresh();
});
$('sign-out').addEventListener('click', () => {
  signOut();
  location.reload();
});
$('clear-filter').addEventListener('click', () => choose(null));
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh();
});
refresh();

import { Away, poll, SignInNeeded } from './api.js';
import { List } from './list.js';
import { place } from './place.js';

/** Asks the API for everything that the page shows, each part as often as it is worth. */

const MINUTE_MS = 60_000;
/** Long lists and searches cost more than the first page. */
const DEAR_MS = 30_000;

export const letters = new List(20, 50);
export const events = new List(50, 100);
export const runs = new List(10, 50);

const kept = new Map();

/** The next answers are fresh: somebody has changed something. */
export function askAnew() {
  kept.clear();
}

/** What the page shows now. Rejects when the API gives no figures. */
export async function ask() {
  // Alone and first: while the database is away, this is the only request.
  const metrics = await poll('metrics');
  const count = metrics.queue.dead_letter_count;
  const [letterPage, eventPage, runPage, groups, activity, workers, retries] = await Promise.all([
    askLetters(count),
    askEvents(place()),
    askRuns(place()).catch(unknown),
    askGroups(count),
    keep('activity', '', MINUTE_MS, () => poll('activity?hours=24')).catch(unknown),
    metrics.workers ?? poll('../readyz?verbose').then((ready) => ready.workers, unknown),
    poll('dead-letter/retries?limit=1').catch(unknown),
  ]);
  return { metrics, letters: letterPage, events: eventPage, runs: runPage, groups, activity, workers, retries };
}

function askLetters(count) {
  const age = letters.pages > 1 ? DEAR_MS : 0;
  return keep('letters', `${count} ${letters.pages}`, age, () => letters.load('dead-letter?'));
}

function askEvents({ status, text }) {
  const filter = status ? `status_filter=${status}&` : '';
  const path = text ? `find-events?q=${encodeURIComponent(text)}&${filter}` : `recent-events?${filter}`;
  const age = text || events.pages > 1 ? DEAR_MS : 0;
  return keep('events', `${path} ${events.pages}`, age, () => events.load(path));
}

function askRuns({ runStatus, runText }) {
  const filter = `${runStatus ? `status=${runStatus}&` : ''}${runText ? `q=${encodeURIComponent(runText)}&` : ''}`;
  const age = runText || runs.pages > 1 ? DEAR_MS : 0;
  return keep('runs', `${filter} ${runs.pages}`, age, () => runs.load(`workflows?${filter}`));
}

function askGroups(count) {
  if (count < 2) return { groups: [], letters: 0 };
  return keep('groups', String(count), MINUTE_MS, () => poll('dead-letter/groups')).catch(unknown);
}

/** What was answered before, unless it is older than `ageMs` or `key` says that something else is asked for. */
async function keep(name, key, ageMs, load) {
  const known = kept.get(name);
  if (known?.key === key && Date.now() - known.at < ageMs) return known.value;
  const value = await load();
  kept.set(name, { key, at: Date.now(), value });
  return value;
}

/** A part that cannot be read must not take the rest with it. */
function unknown(error) {
  if (error instanceof SignInNeeded || error instanceof Away) throw error;
  return null;
}

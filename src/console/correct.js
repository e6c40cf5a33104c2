import { actOn } from './actions.js';
import { parseExactly, post } from './api.js';
import { askForText } from './dialog.js';
import { $, element } from './dom.js';
import { plural } from './format.js';
import { say } from './message.js';

/** Correcting a dead letter: its record is edited, or nobody needs it. Both ask why. */

/** Without this a browser would round ids of 19 digits in a record that it sends back. */
export const KEEPS_DIGITS = JSON.rawJSON !== undefined;

/** Discards a letter after a reason was given. Resolves with whether there is something new to show. */
export async function discardLetter(letter, click) {
  // It belongs to the click only until we wait.
  const clicked = click.currentTarget;
  if (clicked.getAttribute('aria-disabled') === 'true') return false;
  const reason = await askForText('discard', `Discard ${nameOf(letter)}?`, 'discard-reason');
  if (reason === null) return false;
  const done = `${letter.event_type}: discarded. For 30 days it can be restored.`;
  return actOn(null, clicked, `dead-letter/${letter.id}/discard`, done, { reason });
}

let editing = null;

/** Lets the record be edited until it runs as a new event. Resolves with whether there is something new to show. */
export function editLetter(letter) {
  $('edit-title').textContent = `Edit ${nameOf(letter)}`;
  $('edit-record').value = JSON.stringify(letter.payload, null, 2);
  $('edit-reason').value = '';
  forget();
  $('edit').showModal();
  return new Promise((resolve) => {
    editing = { letter, resolve, isDone: false };
  });
}

function nameOf({ event_type, entity_id }) {
  return `${event_type} ${entity_id ?? ''}`.trim();
}

/** What was said of a text that has changed since. */
function forget() {
  $('edit-record').setCustomValidity('');
  $('edit-error').textContent = '';
  $('edit-differences').replaceChildren();
}

/** Runs the edited record, or only asks what differs. The text stays in the dialog until the API has taken it. */
async function send(isDryRun) {
  forget();
  const record = readRecord();
  if (!$('edit-form').reportValidity()) return;
  const path = `dead-letter/${editing.letter.id}/edit${isDryRun ? '?dry_run=true' : ''}`;
  try {
    const { difference } = await post(path, { reason: $('edit-reason').value.trim(), record });
    if (isDryRun) return showDifferences(difference);
    editing.isDone = true;
    $('edit').close();
    say(`${editing.letter.event_type}: edited, and back in the queue as a new event.`);
  } catch (error) {
    $('edit-error').textContent = error.message;
  }
}

function readRecord() {
  try {
    return parseExactly($('edit-record').value);
  } catch ({ message }) {
    $('edit-record').setCustomValidity(`This is no JSON: ${message}`);
    return undefined;
  }
}

function showDifferences(differences) {
  const lines = differences.map(({ path, before, after }) => `${path}: ${shown(before)} becomes ${shown(after)}`);
  const items = [plural(lines.length, 'difference'), ...lines].map((line) => element('li', {}, line));
  $('edit-differences').replaceChildren(...items);
}

function shown(value) {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

$('edit-form').addEventListener('submit', (event) => {
  if (event.submitter?.value === 'no') return;
  event.preventDefault();
  send(false);
});
$('edit-form').addEventListener('input', forget);
$('edit-check').addEventListener('click', () => send(true));
$('edit').addEventListener('close', () => editing.resolve(editing.isDone));

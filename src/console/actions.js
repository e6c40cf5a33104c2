import { post } from './api.js';
import { hold } from './hold.js';
import { say } from './message.js';

/** What an operator does with a click. */

const underWay = new Set();

/**
 * Posts to `path`, says what became of it and moves the focus to the next row. While it is under way, and as long as
 * its row is still there afterwards, another click does nothing. Resolves when there is something new to show.
 */
export async function act(click, path, done, body) {
  return actOn(click, click.currentTarget, path, done, body);
}

/** The same for a click that has passed since, on `clicked`; null after a dialog, which has taken the pointer elsewhere. */
export async function actOn(click, clicked, path, done, body) {
  if (underWay.has(path) || clicked.getAttribute('aria-disabled') === 'true') return false;
  underWay.add(path);
  // With no other row there is nothing that could slide below the pointer.
  if (click && otherButton(clicked)) hold(click);
  // Not `disabled`, which would take the focus away.
  clicked.setAttribute('aria-disabled', 'true');
  const isDone = await attempt(path, done, body);
  underWay.delete(path);
  if (isDone) focusNext(clicked);
  else clicked.removeAttribute('aria-disabled');
  return true;
}

async function attempt(path, done, body) {
  try {
    await post(path, body);
    say(done);
    return true;
  } catch (error) {
    say(error.message, 'failed');
    return false;
  }
}

function focusNext(clicked) {
  if (document.activeElement !== clicked && document.activeElement !== document.body) return;
  (otherButton(clicked) ?? clicked.closest('section')?.querySelector('h2'))?.focus({ preventScroll: true });
}

/** The button of the next row, or of the one before when there is none. */
function otherButton(clicked) {
  const row = clicked.closest('li, tr');
  return buttonAlong(row, 'nextElementSibling') ?? buttonAlong(row, 'previousElementSibling');
}

/** The first button that does something in the rows after, or before, this one. */
function buttonAlong(row, direction) {
  for (let other = row?.[direction]; other; other = other[direction]) {
    const found = other.querySelector('button:not(.copy):not([aria-disabled="true"])');
    if (found) return found;
  }
  return undefined;
}

import { get, SignInNeeded, signIn, signOut } from './api.js';
import { $ } from './dom.js';

/** Who uses the page: makes a session from a token, and knows what its owner may do. */

const WRONG_TOKEN = 'That token is not valid. Enter another one.';
const VIEWER_MAY_NOT = 'Your role is viewer: this needs the role operator.';
const UNKNOWN = { supervisor: 'none', mayNot: undefined, barred: {} };

let me = null;

/** The caller as far as known; `barred` are properties for the buttons of what he may not do. */
export function caller() {
  return me ?? UNKNOWN;
}

/** Asks the API once who calls. It needs no database, so that advice is right during an outage as well. */
export async function meet() {
  if (me) return;
  const { name, role, supervisor, session_expires_at } = await get('whoami');
  const mayNot = role === 'viewer' ? VIEWER_MAY_NOT : undefined;
  const barred = mayNot ? { disabled: true, title: mayNot, 'aria-describedby': 'viewer-note' } : {};
  me = { name, role, supervisor, mayNot, barred };
  $('who').textContent = `${name} (${role})`;
  $('who').hidden = !session_expires_at;
  $('sign-out').hidden = !session_expires_at;
  $('viewer-note').hidden = !mayNot;
}

/** Shows the form instead of the figures. */
export function askForToken() {
  me = null;
  for (const id of ['board', 'verdict', 'sign-out', 'who', 'viewer-note']) $(id).hidden = true;
  $('sign-in').hidden = false;
  document.title = 'Sign in: TDS Core';
  $('token').focus();
}

/** Calls back after every token that was good for a session. */
export function onSignIn(work) {
  $('sign-in').addEventListener('submit', (event) => {
    event.preventDefault();
    begin($('token').value.trim()).then((ok) => ok && work());
  });
  $('sign-out').addEventListener('click', () => signOut().then(() => location.reload(), explain));
}

async function begin(token) {
  $('token').value = '';
  try {
    await signIn(token);
    explain(null);
    return true;
  } catch (error) {
    explain(error);
    askForToken();
    return false;
  }
}

/** Says why nobody is signed in or out now; null: all is well. */
function explain(error) {
  const isWrong = error instanceof SignInNeeded;
  $('sign-in-error').textContent = isWrong ? WRONG_TOKEN : (error?.message ?? '');
  $('sign-in-error').hidden = error === null;
  $('token').setAttribute('aria-invalid', String(isWrong));
}

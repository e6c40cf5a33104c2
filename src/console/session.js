import { get, isSignedIn, signIn, signOut } from './api.js';
import { $ } from './dom.js';

/** Who uses the page: asks for the token, and knows what its owner may do. */

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
  const { name, role, supervisor } = await get('whoami');
  const mayNot = role === 'viewer' ? VIEWER_MAY_NOT : undefined;
  const barred = mayNot ? { disabled: true, title: mayNot, 'aria-describedby': 'viewer-note' } : {};
  me = { name, role, supervisor, mayNot, barred };
  $('who').textContent = `${name} (${role})`;
  $('who').hidden = !isSignedIn();
  $('sign-out').hidden = !isSignedIn();
  $('viewer-note').hidden = !mayNot;
}

/** Shows the form instead of the figures, with an error when there was a token that did not do. */
export function askForToken() {
  const wasWrong = isSignedIn();
  signOut();
  me = null;
  for (const id of ['board', 'verdict', 'sign-out', 'who', 'viewer-note']) $(id).hidden = true;
  $('sign-in').hidden = false;
  $('sign-in-error').hidden = !wasWrong;
  $('token').setAttribute('aria-invalid', String(wasWrong));
  document.title = 'Sign in: TDS Core';
  $('token').focus();
}

/** Calls back after every token that is entered. */
export function onSignIn(work) {
  $('sign-in').addEventListener('submit', (event) => {
    event.preventDefault();
    signIn($('token').value.trim());
    $('token').value = '';
    work();
  });
  $('sign-out').addEventListener('click', () => {
    signOut();
    location.reload();
  });
}

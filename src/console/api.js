/** The console's only way to the server: the same JSON API that curl uses, by paths relative to the page. */

const TOKEN = 'tds-token';
const PATIENCE_MS = 8000;

/** The API wants a token, or a better one. */
export class SignInNeeded extends Error {}

/** The API gave no usable answer: it is away, or the network is. */
export class Away extends Error {}

export function signIn(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function signOut() {
  sessionStorage.removeItem(TOKEN);
}

export function isSignedIn() {
  return sessionStorage.getItem(TOKEN) !== null;
}

export async function get(path) {
  return parseExactly(await request('GET', path));
}

export async function post(path) {
  return parseExactly(await request('POST', path));
}

async function request(method, path) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(path, { method, headers, signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => null);
  if (!answer || answer.status >= 502) throw new Away('No answer from the API');
  if (answer.status === 401) throw new SignInNeeded('This token is not valid.');
  const text = await answer.text();
  if (!answer.ok) throw new Error(problemDetail(text) ?? `The API answered ${answer.status}.`);
  return text;
}

function problemDetail(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return undefined;
  }
}

/** Numbers that a double cannot hold (ids, money) stay as they were written, where the browser can do that. */
function parseExactly(text) {
  return JSON.parse(text, (_key, value, context) => {
    if (typeof value !== 'number' || !JSON.rawJSON || String(value) === context?.source) return value;
    return JSON.rawJSON(context.source);
  });
}

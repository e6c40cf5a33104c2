/** The console's only way to the server: the same JSON API that curl uses, by paths relative to the page. */

const PATIENCE_MS = 8000;

/** The API wants a token, or a better one. */
export class SignInNeeded extends Error {}

/** Nobody answered: the API is away, or the network is. */
export class Away extends Error {}

/** The API answered with a problem (RFC 9457): `status` and `code` for us, the message for people. */
export class Refusal extends Error {
  constructor(status, { detail, code } = {}) {
    super(detail ?? `The API answered ${status}.`);
    this.status = status;
    this.code = code;
  }
}

/** Turns a token into a session. The browser keeps it in a cookie that nothing on this page can read. */
export async function signIn(token) {
  await request('POST', 'session', { authorization: `Bearer ${token}` });
}

export async function signOut() {
  await request('DELETE', 'session');
}

/** Reads a path once, because somebody did something. */
export async function get(path) {
  return parseExactly((await request('GET', path)).text);
}

/** Reads a path by the clock: the API's log has one line a minute for all of these. */
export async function poll(path) {
  return (await pollPage(path)).rows;
}

/** A page of a list, and the cursor that continues it; null at its end. */
export async function pollPage(path) {
  const { text, next } = await request('GET', path, { 'x-tds-poll': '1' });
  return { rows: parseExactly(text), next };
}

/** @param body sent as JSON; without it nothing is sent */
export async function post(path, body) {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  return parseExactly((await request('POST', path, headers, body && JSON.stringify(body))).text);
}

async function request(method, path, headers = {}, body = undefined) {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(path, { method, headers, signal, body });
    return check(answer, await answer.text());
  } catch (error) {
    throw error instanceof SignInNeeded || error instanceof Refusal ? error : new Away('No answer from the API');
  }
}

function check(answer, text) {
  if (answer.status === 401) throw new SignInNeeded('Nobody is signed in, or the token is not valid.');
  if (answer.ok) return { text, next: answer.headers.get('x-next-cursor') };
  const problem = problemIn(text);
  // A proxy in front of a missing API answers 502 to 504 without a problem of ours.
  if (answer.status >= 502 && !problem) throw new Away('No answer from the API');
  throw new Refusal(answer.status, problem);
}

function problemIn(text) {
  try {
    const problem = JSON.parse(text);
    return typeof problem.code === 'string' ? problem : undefined;
  } catch {
    return undefined;
  }
}

/** Numbers that a double cannot hold (ids, money) stay as they were written, where the browser can do that. */
export function parseExactly(text) {
  return JSON.parse(text, (_key, value, context) => {
    if (typeof value !== 'number' || !JSON.rawJSON || String(value) === context?.source) return value;
    return JSON.rawJSON(context.source);
  });
}

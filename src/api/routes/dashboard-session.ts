import { Type } from 'typebox';
import { isDatabaseAway } from '../../errors.ts';
import { type AuditEntry, recordAudit } from '../../monitor/audit.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf, callerOf } from '../plugins/auth.ts';
import { clearCookie, sessionCookie, setCookie } from '../plugins/session-cookie.ts';
import { Problem } from '../problem.ts';
import { Time } from '../schemas.ts';

const tags = ['access'];
const Session = Type.Object({
  name: Type.String({ examples: ['anna'] }),
  role: Type.Union([Type.Literal('viewer'), Type.Literal('operator'), Type.Literal('admin')]),
  expires_at: Time,
});

/** A browser's session: made from a token, kept in a cookie that no script can read. */
export function sessionRoutes(api: Api, deps: Deps): void {
  startRoute(api, deps);
  endRoute(api, deps);
}

function startRoute(api: Api, deps: Deps): void {
  const { basePath, sessionHours } = deps.config;
  const action = 'session.start';
  const summary = 'Sign a browser in: the token in the Authorization header becomes a cookie';
  const schema = { tags, summary, response: { 201: Session } };
  api.post('/dashboard/session', { config: { role: 'viewer', action }, schema }, async (request, reply) => {
    if (!request.known) throw noTokenNeeded();
    // A session never makes another one: it would outlive the log-out of the first.
    if (!request.headers.authorization) throw tokenNeeded();
    const { cookie, expiresAt } = await api.callers.begin(request.known, sessionHours);
    await note(deps, { ...entryOf(action, actorOf(request)), result: 'started' });
    reply.header('set-cookie', setCookie(request, basePath, cookie, expiresAt));
    return reply.code(201).send({ ...callerOf(request), expires_at: expiresAt });
  });
}

function endRoute(api: Api, deps: Deps): void {
  const action = 'session.end';
  const summary = 'Sign a browser out: its cookie is worth nothing from now on';
  const schema = { tags, summary, response: { 204: Type.Null() } };
  api.delete('/dashboard/session', { config: { role: 'viewer', action }, schema }, async (request, reply) => {
    const cookie = sessionCookie(request);
    if (cookie !== '') {
      await api.callers.end(cookie);
      await note(deps, { ...entryOf(action, actorOf(request)), result: 'ended' });
    }
    return reply.header('set-cookie', clearCookie(request, deps.config.basePath)).code(204).send(null);
  });
}

function entryOf(action: string, { name, requestId }: ReturnType<typeof actorOf>) {
  return { operator: name, action, target: null, requestId };
}

/** Operators sign in during an outage as well: then the log of the process has to do. */
async function note({ db, log }: Deps, entry: AuditEntry): Promise<void> {
  await recordAudit(db, entry).catch((error: unknown) => {
    if (!isDatabaseAway(error)) throw error;
    log.warn({ component: 'http', ...entry }, 'not audited: the database is away');
  });
}

function noTokenNeeded(): Problem {
  return new Problem(
    409,
    'no_token_needed',
    'Without OPERATOR_TOKENS this machine needs no session: just open the console.',
  );
}

function tokenNeeded(): Problem {
  return new Problem(
    400,
    'token_needed',
    'Send the token as "Authorization: Bearer <token>"; a session makes no other one.',
  );
}

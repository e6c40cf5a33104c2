import { Type } from 'typebox';
import { readAudit } from '../../monitor/read-audit.ts';
import { verifyAudit } from '../../monitor/verify-audit.ts';
import type { Api, Deps } from '../deps.ts';
import { Problem } from '../problem.ts';
import { Nullable, Page, Time } from '../schemas.ts';

const State = { additionalProperties: true };
const Entry = Type.Object({
  id: Type.String(),
  created_at: Time,
  operator: Type.String(),
  action: Type.String({ examples: ['dead_letter.retry'] }),
  target: Nullable(Type.String()),
  result: Type.String({ description: 'denied, or the outcome.' }),
  request_id: Nullable(Type.String()),
  reason: Nullable(Type.String({ description: 'In the words of the operator.' })),
  before: Nullable(Type.Object({}, { ...State, description: 'State of the target before the deed.' })),
  after: Nullable(Type.Object({}, { ...State, description: 'And after it.' })),
  detail: Nullable(Type.Object({}, { additionalProperties: true })),
  hash: Type.String({ description: 'SHA-256 of this entry and of the hash before it.' }),
});

const ENTRY_ID = '^[1-9][0-9]{0,17}$';
const Verdict = Type.Object({
  verdict: Type.Union([Type.Literal('intact'), Type.Literal('broken')]),
  entries: Type.Integer({ description: 'How many were checked.' }),
  head: Type.Object(
    { id: Type.String(), hash: Type.String() },
    { description: 'The latest entry: note it elsewhere.' },
  ),
  archived_id: Type.String({ description: 'The last entry that was purged; 0 when none was.' }),
  problems: Type.Array(
    Type.Object({
      id: Type.String(),
      problem: Type.Union([Type.Literal('altered'), Type.Literal('missing')]),
      message: Type.String(),
    }),
  ),
});

/** What operators did, and what they were not allowed to do. */
export function auditRoutes(api: Api, { db }: Deps): void {
  const summary = 'The audit log, latest first; X-Total-Count says how many there are, X-Next-Cursor leads on';
  const querystring = Type.Object({
    ...Page,
    cursor: Type.Optional(Type.String({ pattern: ENTRY_ID, description: 'The X-Next-Cursor of the answer before.' })),
  });
  const schema = { tags: ['dashboard'], summary, querystring, response: { 200: Type.Array(Entry) } };
  api.get('/dashboard/audit', { config: { role: 'operator' }, schema }, async ({ query }, reply) => {
    const { entries, next, total } = await readAudit(db, query.limit, query.cursor);
    reply.header('x-total-count', String(total));
    if (next) reply.header('x-next-cursor', next);
    return entries;
  });
  verifyRoute(api, db);
}

function verifyRoute(api: Api, db: Deps['db']): void {
  const summary = 'Whether the hash chain of the audit log is whole; names the entries that are not';
  const querystring = Type.Object({
    id: Type.Optional(
      Type.String({ pattern: ENTRY_ID, description: 'Number of an entry whose hash was noted earlier.' }),
    ),
    hash: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'That hash.' })),
  });
  const schema = { tags: ['dashboard'], summary, querystring, response: { 200: Verdict } };
  api.get('/dashboard/audit/verify', { config: { role: 'operator' }, schema }, async ({ query: { id, hash } }) => {
    if ((id === undefined) !== (hash === undefined)) throw halfAHead();
    return verifyAudit(db, id !== undefined && hash !== undefined ? { id, hash } : undefined);
  });
}

function halfAHead(): Problem {
  return new Problem(400, 'invalid_request', 'id and hash belong together: send both, as head of an earlier answer.');
}

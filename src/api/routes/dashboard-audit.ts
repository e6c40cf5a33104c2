import { Type } from 'typebox';
import { readAudit } from '../../monitor/read-audit.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Page, Time } from '../schemas.ts';

const Entry = Type.Object({
  id: Type.String(),
  created_at: Time,
  operator: Type.String(),
  action: Type.String({ examples: ['dead_letter.retry'] }),
  target: Nullable(Type.String()),
  result: Type.String({ description: 'denied, or the outcome.' }),
  request_id: Nullable(Type.String()),
  detail: Nullable(Type.Object({}, { additionalProperties: true })),
});

/** What operators did, and what they were not allowed to do. */
export function auditRoutes(api: Api, { db }: Deps): void {
  const summary = 'The audit log, latest first; X-Total-Count says how many there are, X-Next-Cursor leads on';
  const querystring = Type.Object({
    ...Page,
    cursor: Type.Optional(
      Type.String({ pattern: '^[1-9][0-9]{0,17}$', description: 'The X-Next-Cursor of the answer before.' }),
    ),
  });
  const schema = { tags: ['dashboard'], summary, querystring, response: { 200: Type.Array(Entry) } };
  api.get('/dashboard/audit', { config: { role: 'operator' }, schema }, async ({ query }, reply) => {
    const { entries, next, total } = await readAudit(db, query.limit, query.cursor);
    reply.header('x-total-count', String(total));
    if (next) reply.header('x-next-cursor', next);
    return entries;
  });
}

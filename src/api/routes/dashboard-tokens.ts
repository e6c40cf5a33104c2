import { Type } from 'typebox';
import { createToken, listTokens, revokeToken } from '../../access/tokens.ts';
import { act } from '../../monitor/audit.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { IdParams, Nullable, Time, Uuid } from '../schemas.ts';

const tags = ['access'];
const Role = Type.Union([Type.Literal('viewer'), Type.Literal('operator'), Type.Literal('admin')]);
const Row = Type.Object({
  id: Uuid,
  name: Type.String({ examples: ['anna'] }),
  role: Role,
  created_at: Time,
  created_by: Type.String(),
  expires_at: Time,
  last_used_at: Nullable(Time),
  revoked_at: Nullable(Time),
  revoked_by: Nullable(Type.String()),
});
const Wish = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z0-9_.@-]{1,64}$', description: 'Who gets it.', examples: ['anna'] }),
    role: Role,
    days: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650, description: 'Until it expires; default 365.' })),
  },
  { additionalProperties: false },
);
const DAYS = 365;

/** Tokens beside those of OPERATOR_TOKENS. For admins; everything is audited. */
export function tokenRoutes(api: Api, deps: Deps): void {
  listRoute(api, deps);
  createRoute(api, deps);
  revokeRoute(api, deps);
}

function listRoute(api: Api, { db }: Deps): void {
  const summary = 'Stored tokens, the latest first; never the tokens themselves';
  const schema = { tags, summary, response: { 200: Type.Array(Row) } };
  api.get('/dashboard/tokens', { config: { role: 'admin' }, schema }, () => listTokens(db));
}

function createRoute(api: Api, { db, config }: Deps): void {
  const action = 'token.create';
  const summary = 'Make a token for an operator; the answer is the only place where it is ever shown';
  const Created = Type.Object({ ...Row.properties, token: Type.String({ examples: ['tds_…'] }) });
  const schema = { tags, summary, body: Wish, response: { 201: Created } };
  api.post('/dashboard/tokens', { config: { role: 'admin', action }, schema }, async (request, reply) => {
    const { name, role, days = DAYS } = request.body;
    if (config.operators.some((operator) => operator.name === name)) throw taken(name);
    const actor = actorOf(request);
    const result = await act(db, actor, {
      ...{ action, target: name, detail: { role, days }, stands: ['created'] },
      run: (trx) => createToken(trx, { name, role, days, by: actor.name }),
    });
    if (result.outcome === 'taken') throw taken(name);
    return reply.code(201).send({ ...result.row, token: result.token });
  });
}

function revokeRoute(api: Api, { db }: Deps): void {
  const action = 'token.revoke';
  const summary = 'End a token, and every session that was made from it';
  const schema = { tags, summary, params: IdParams, response: { 200: Type.Object({ success: Type.Literal(true) }) } };
  api.post('/dashboard/tokens/:id/revoke', { config: { role: 'admin', action }, schema }, async (request) => {
    const { id } = request.params;
    const actor = actorOf(request);
    const { outcome } = await act(db, actor, {
      ...{ action, target: id, stands: ['revoked'] },
      run: (trx) => revokeToken(trx, id, actor.name),
    });
    if (outcome === 'not_found') throw notFound('token', 'They are listed at dashboard/tokens.');
    if (outcome === 'already') throw new Problem(409, 'already_revoked', 'This token was revoked before.');
    return { success: true as const };
  });
}

function taken(name: string): Problem {
  return new Problem(409, 'name_taken', `${name} has a token already: revoke it first, or give another name.`);
}

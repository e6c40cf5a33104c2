import { Type } from 'typebox';
import { act } from '../../monitor/audit.ts';
import { type Decision, decide } from '../../monitor/errors/decide.ts';
import { failureGroup, failureGroups, SAMPLED } from '../../monitor/errors/groups.ts';
import { rollUpFailures } from '../../queue/failures.ts';
import { decodeCursor, encodeCursor, FINGERPRINT } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { Nullable, Page, Time, Uuid } from '../schemas.ts';

const Fingerprint = Type.String({
  pattern: FINGERPRINT.source,
  description: 'Of tag, message template and top frame; the key of its dead letters at dashboard/dead-letter/groups.',
  examples: ['0f3a5c7e9b1d2468'],
});

const State = Type.String({
  enum: ['open', 'resolved', 'ignored', 'reopened'],
  description: 'reopened: it was resolved, and failed again since.',
});

const Sample = Type.Object({
  event_id: Uuid,
  organization_id: Type.String(),
  event_type: Type.String({ examples: ['contact.created'] }),
  entity_id: Nullable(Type.String({ examples: ['460000000026049'] })),
  attempt: Type.Integer(),
  failed_at: Time,
  handler: Nullable(Type.String()),
  http_status: Nullable(Type.Integer({ description: 'What a called system answered.' })),
  message: Type.String({ description: 'Without quoted values, ids and numbers.' }),
  stack: Nullable(Type.String()),
  causes: Type.Unknown({ description: 'The error and what caused it; bodies of called systems are redacted.' }),
});

const GROUP = {
  fingerprint: Fingerprint,
  state: State,
  error_tag: Type.String({ examples: ['TimeoutError'] }),
  message: Type.String({ examples: ['connect ETIMEDOUT …:…'] }),
  place: Type.String({ description: 'Function and file of the top frame.', examples: ['handle (crm.ts)'] }),
  handler: Nullable(Type.String()),
  count: Type.Integer({ description: 'Failed attempts, since the first one.' }),
  first_seen_at: Time,
  last_seen_at: Time,
  failures_by_hour: Type.Array(Type.Integer(), { description: 'Of the last 24 hours, the current one last.' }),
  trend: Type.String({ enum: ['new', 'rising', 'steady', 'falling', 'quiet'] }),
  affected_entities: Type.Integer({ description: `Among the latest ${SAMPLED} failures.` }),
  resolved_at: Nullable(Time),
  resolved_by: Nullable(Type.String()),
  ignored_at: Nullable(Time),
  ignored_by: Nullable(Type.String()),
  ignore_reason: Nullable(Type.String()),
  suggestion: Type.Object({
    retry: Type.Boolean({ description: 'Whether another attempt can help before anything is changed.' }),
    why: Type.String(),
    action: Type.String(),
  }),
  sample: Nullable(Sample),
};

const Groups = Type.Array(Type.Object(GROUP));
const Group = Type.Object({ ...GROUP, failures: Type.Array(Sample, { description: 'The latest first.' }) });
const Decided = Type.Object({ success: Type.Literal(true), fingerprint: Fingerprint, state: State });

const params = Type.Object({ fingerprint: Fingerprint });
const tags = ['dashboard'];
const viewer = { role: 'viewer' } as const;

/** Failed attempts by cause, and what operators decide about a cause. */
export function errorRoutes(api: Api, { db }: Deps): void {
  const state = Type.Optional(State);
  const querystring = Type.Object({ ...Page, state });
  const summary = 'Failed attempts by cause, seen last first; X-Next-Cursor leads on';
  const schema = { tags, summary, querystring, response: { 200: Groups } };
  api.get('/dashboard/errors', { config: viewer, schema }, async ({ query }, reply) => {
    const after = decodeCursor('errors', query.cursor);
    const states = query.state && [query.state as 'open'];
    const { groups, next } = await failureGroups(db, { limit: query.limit, states: states || undefined, after });
    if (next) reply.header('x-next-cursor', encodeCursor('errors', next));
    return groups;
  });

  const one = { tags, summary: 'One cause with its latest failures', response: { 200: Group } };
  const limit = Type.Object({ limit: Page.limit });
  api.get(
    '/dashboard/errors/:fingerprint',
    { config: viewer, schema: { ...one, params, querystring: limit } },
    async (request) => {
      const group = await failureGroup(db, request.params.fingerprint, request.query.limit);
      if (!group) throw unknownGroup();
      return group;
    },
  );
  decisionRoutes(api, db);
}

const Reason = Type.Object({
  reason: Type.String({ minLength: 1, maxLength: 500, pattern: '^[^\\0]*[^\\0\\s][^\\0]*$' }),
});

function decisionRoutes(api: Api, db: Deps['db']): void {
  const decisions = [
    ['resolve', 'Say that the cause is cured: another failure reopens the group', 'resolved'],
    ['reopen', 'Take a decision back', 'open'],
  ] as const;
  for (const [kind, summary, state] of decisions) {
    const action = `error.${kind}`;
    const schema = { tags, summary, params, response: { 200: Decided } };
    api.post(
      `/dashboard/errors/:fingerprint/${kind}`,
      { config: { role: 'operator', action }, schema },
      async (request) => decideAs(db, actorOf(request), { kind }, request.params.fingerprint, state),
    );
  }
  const action = 'error.ignore';
  const summary = 'Say why the cause does not matter: further failures are counted and change nothing';
  const schema = { tags, summary, params, body: Reason, response: { 200: Decided } };
  api.post('/dashboard/errors/:fingerprint/ignore', { config: { role: 'operator', action }, schema }, async (request) =>
    decideAs(db, actorOf(request), { kind: 'ignore', ...request.body }, request.params.fingerprint, 'ignored'),
  );
}

async function decideAs(
  db: Deps['db'],
  actor: ReturnType<typeof actorOf>,
  decision: Decision,
  fingerprint: string,
  state: string,
) {
  await rollUpFailures(db);
  const { outcome } = await act(db, actor, {
    ...{ action: `error.${decision.kind}`, target: fingerprint },
    ...(decision.kind === 'ignore' && { detail: { reason: decision.reason } }),
    stands: ['decided'],
    run: async (trx) => ({ outcome: await decide(trx, fingerprint, decision, actor.name) }),
  });
  if (outcome === 'not_found') throw unknownGroup();
  if (outcome === 'already') throw new Problem(409, `already_${state}`, `This group is ${state} already.`);
  return { success: true as const, fingerprint, state };
}

function unknownGroup(): Problem {
  return notFound('group of failures', 'They are listed at dashboard/errors.');
}

import { Type } from 'typebox';
import { type Digest, readDigest } from '../../monitor/digest/read.ts';
import { digestText } from '../../monitor/digest/text.ts';
import type { Api, Deps } from '../deps.ts';
import { Problem } from '../problem.ts';
import { Nullable, Time } from '../schemas.ts';

const Counts = Type.Object({
  arrived: Type.Integer(),
  succeeded: Type.Integer(),
  failed: Type.Integer(),
  dead_letters: Type.Integer(),
});

const DigestSchema = Type.Object({
  since: Time,
  until: Time,
  counts: Counts,
  day_before: Counts,
  week_before: Counts,
  now: Type.Object({
    pending: Type.Integer(),
    processing: Type.Integer(),
    retry: Type.Integer(),
    dead_letter: Type.Integer(),
    oldest_pending_age_seconds: Type.Number(),
  }),
  alerts: Type.Array(
    Type.Object({
      title: Type.String(),
      severity: Type.String(),
      message: Type.String(),
      since: Time,
      acknowledged: Type.Boolean(),
      runbook: Type.String(),
    }),
  ),
  new_causes: Type.Array(
    Type.Object({ error_tag: Type.String(), message: Type.String(), count: Type.Integer(), first_seen_at: Time }),
  ),
  holes: Nullable(Type.Integer({ description: 'null: nothing is pulled.' })),
  deeds: Type.Array(Type.Object({ operator: Type.String(), action: Type.String(), count: Type.Integer() })),
  to_do: Type.Array(Type.String()),
});

const Query = Type.Object({
  since: Type.Optional(
    Type.String({
      default: '24h',
      pattern: '^[1-9]\\d{0,3}[hd]$',
      description: 'How far back: hours or days, such as 24h or 7d; at most 31 days.',
    }),
  ),
  format: Type.Optional(
    Type.Union([Type.Literal('json'), Type.Literal('text')], { description: 'Default: what Accept asks for.' }),
  ),
});

const MAX_HOURS = 31 * 24;

/** The morning's page: what happened, compared with yesterday and last week, and what to do. */
export function digestRoutes(api: Api, { db }: Deps): void {
  const summary = 'What happened, compared with the day and the week before, and what to do; JSON, or text';
  const schema = { tags: ['dashboard'], summary, querystring: Query, response: { 200: DigestSchema } };

  api.get('/dashboard/digest', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { since = '24h', format } = request.query;
    const digest = await readDigest(db, hoursOf(since));
    const accepts = request.headers.accept ?? '';
    const asText = format === 'text' || (format === undefined && /^text\/plain\b/.test(accepts));
    if (!asText) return digest;
    return reply
      .type('text/plain; charset=utf-8')
      .serializer(String)
      .send(`${digestText(digest)}\n` as unknown as Digest);
  });
}

function hoursOf(since: string): number {
  const hours = Number(since.slice(0, -1)) * (since.endsWith('d') ? 24 : 1);
  if (hours <= MAX_HOURS) return hours;
  throw new Problem(400, 'invalid_request', 'since may reach back 31 days at most: send 31d or less.');
}

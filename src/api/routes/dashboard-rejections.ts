import { Type } from 'typebox';
import { REJECTION_CAUSES, type RejectionCause } from '../../inbox/why-rejected.ts';
import { type RejectionCounter, readRejections, rejectionSummary } from '../../monitor/rejections.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Page, Time, Uuid } from '../schemas.ts';

const Cause = Type.String({ examples: ['wrong_secret'], description: Object.keys(REJECTION_CAUSES).join(', ') });

const Rejected = Type.Object({
  id: Uuid,
  hour: Time,
  cause: Cause,
  meaning: Type.String({ examples: [REJECTION_CAUSES.no_signature] }),
  path: Type.String({ description: 'Parts that are no id, module or action are *.' }),
  count: Type.Integer(),
  first_at: Time,
  last_at: Time,
  bytes: Nullable(Type.Integer({ description: 'Size of the body of one of them.' })),
  sha256: Nullable(Type.String({ description: 'Of that body, when it was read. The body is kept nowhere.' })),
});

const Answer = Type.Object({
  last_24_hours: Type.Record(Type.String(), Type.Integer(), { description: 'Rejected deliveries by cause.' }),
  last_accepted_at: Nullable(Time),
  rejected_since_accepted: Type.Integer(),
  rejected: Type.Array(Rejected, { description: 'Per hour, cause and path; the latest first.' }),
});

/** Deliveries that were answered with 401, 413, 415 or refused for their query: why, and how many. */
export function rejectionRoutes(api: Api, { db }: Deps, counter: RejectionCounter): void {
  const summary = 'Rejected webhook deliveries by cause; X-Next-Cursor leads on';
  const schema = { tags: ['dashboard'], summary, querystring: Type.Object(Page), response: { 200: Answer } };

  api.get('/dashboard/webhooks/rejected', { config: { role: 'viewer' }, schema }, async ({ query }, reply) => {
    const after = decodeCursor('rejections', query.cursor);
    // What this process has counted; of another one up to some seconds are missing.
    await counter.write();
    const [{ rejections, next }, totals] = await Promise.all([
      readRejections(db, { limit: query.limit, after }),
      rejectionSummary(db),
    ]);
    if (next) reply.header('x-next-cursor', encodeCursor('rejections', next));
    const rejected = rejections.map((one) => ({
      ...one,
      meaning: REJECTION_CAUSES[one.cause as RejectionCause] ?? '',
    }));
    return { ...totals, rejected };
  });
}

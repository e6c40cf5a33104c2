import { Type } from 'typebox';
import { readChanges } from '../../monitor/changes.ts';
import { decodeChangeCursor, encodeChangeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { Problem } from '../problem.ts';
import { Nullable, Time } from '../schemas.ts';

const MAX_CHANGES = 500;

const Changes = Type.Object({
  changes: Type.Array(
    Type.Object({
      change_no: Type.Integer({
        examples: [1024],
        description: 'Grows from change to change; numbers may be left out.',
      }),
      organization_id: Type.String(),
      module: Type.String({ examples: ['invoice'] }),
      entity_id: Type.String({ examples: ['982000000567114'] }),
      deleted: Type.Boolean({ description: 'Deleted in Zoho Books, or taken out of the mirror: then record is null.' }),
      version: Nullable(Time),
      record: Type.Unknown({ description: 'The record as Zoho sent it, every digit kept.' }),
    }),
  ),
  next_cursor: Type.String({ description: 'Keep it: the next request goes on from here, now or in a week.' }),
});

// PostgreSQL's texts cannot hold NUL.
const Name = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\0]+$', description }));

const Query = Type.Object({
  module: Name('Only this module, such as invoice.'),
  organization_id: Name('Only this organization.'),
  limit: Type.Integer({
    ...{ minimum: 1, maximum: MAX_CHANGES, default: 100 },
    description: `How many at once: 1 to ${MAX_CHANGES}. An answer without changes is the end for now.`,
  }),
  cursor: Type.Optional(
    Type.String({
      maxLength: 200,
      description:
        'Where to go on: the next_cursor of an earlier answer, unchanged. Without it: from the first change.',
    }),
  ),
});

/** The feed of what changed in the mirror, for systems that keep a copy of it. */
export function changeRoutes(api: Api, { db }: Deps): void {
  const summary = 'What changed in the mirror since a cursor, deletions included';
  const description = `Each record is there once, as it stands, in the order of the last changes. Whoever keeps next_cursor
    and asks again with it, and the same module and organization, misses none. A page also ends at 16 MB.`;
  const schema = { tags: ['dashboard'], summary, description, querystring: Query, response: { 200: Changes } };

  api.get('/dashboard/changes', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { module, organization_id: organizationId, limit, cursor } = request.query;
    const after = decodeChangeCursor(cursor);
    const { json, next, newest } = await readChanges(db, { module, organizationId, limit, after });
    if (BigInt(after) > BigInt(newest)) throw fromTheFuture();
    // Sent as PostgreSQL wrote it: parsing it here would cost the digits of ids and money.
    const answer = `{"changes":${json},"next_cursor":"${encodeChangeCursor(next)}"}`;
    return reply
      .type('application/json; charset=utf-8')
      .serializer(String)
      .send(answer as never);
  });
}

function fromTheFuture(): Problem {
  const detail =
    'This cursor is ahead of the feed, as after a restore from a backup: start again without a cursor and compare.';
  return new Problem(410, 'cursor_gone', detail);
}

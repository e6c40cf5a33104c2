import { Type } from 'typebox';
import { deadLettersOfGroup } from '../monitor/dead-letter-groups.ts';
import type { Filter, Selection } from '../queue/retry-runs/selection.ts';
import type { Deps } from './deps.ts';
import { Problem } from './problem.ts';
import { Nullable, Time, Uuid } from './schemas.ts';

const Word = Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\0]+$' });
// PostgreSQL knows no year 0.
const Moment = Type.String({
  format: 'date-time',
  pattern: '^(?!0000)',
  description: 'When it died: since, or before.',
});
/** Never: Fastify would silently remove what is not allowed, and a misspelt filter would be none at all. */
export const NOTHING_ELSE = { additionalProperties: Type.Never() };

const FilterSchema = Type.Object(
  {
    error_tag: Type.Optional(Word),
    event_type: Type.Optional(Word),
    organization_id: Type.Optional(Word),
    kind: Type.Optional(Type.Union([Type.Literal('failed'), Type.Literal('quarantined')])),
    since: Type.Optional(Moment),
    before: Type.Optional(Moment),
  },
  { ...NOTHING_ELSE, description: 'All parts must match; {} is every open dead letter.' },
);

/** Which open dead letters a deed is for: one of the three. */
export const SELECTION = {
  ids: Type.Optional(Type.Array(Uuid, { minItems: 1, maxItems: 1000 })),
  filter: Type.Optional(FilterSchema),
  group: Type.Optional(Type.String({ pattern: '^[0-9a-f]{16}$', description: 'Key of an error group.' })),
};

/** What such a deed would touch. */
export const PlanSchema = Type.Object({
  count: Type.Integer({ examples: [120] }),
  permanent: Type.Integer({ description: 'Of these, failed for a cause that another attempt does not cure.' }),
  oldest: Nullable(Time),
  newest: Nullable(Time),
  breakdown: Type.Array(
    Type.Object({
      error_tag: Type.String({ examples: ['TimeoutError'] }),
      event_type: Type.String({ examples: ['contact.created'] }),
      kind: Type.String(),
      permanent: Type.Boolean(),
      count: Type.Integer(),
    }),
  ),
});

type Asked = { ids?: string[]; filter?: Filter; group?: string };

/** What was asked for, a group as the ids it has now. Throws a 400 unless it is one of the three. */
export async function selectionOf(db: Deps['db'], { ids, filter, group }: Asked): Promise<Selection> {
  if ([ids, filter, group].filter((part) => part !== undefined).length !== 1)
    throw new Problem(400, 'invalid_request', 'Send one of ids, filter and group; {"filter":{}} is every dead letter.');
  if (filter) return { filter };
  return { ids: ids ?? (await deadLettersOfGroup(db, group ?? '')) };
}

import { type TSchema, Type } from 'typebox';
import { STATUSES } from '../queue/vocabulary.ts';

/** A plain uuid; the format alone would let `urn:uuid:` pass, which PostgreSQL does not read. */
export const UUID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

export const EXAMPLE_UUID = '0193a5e2-7b1c-7000-8000-3f6d2c9b1a04';

export const Uuid = Type.String({
  format: 'uuid',
  pattern: UUID.source,
  description: 'Ids are strings.',
  examples: [EXAMPLE_UUID],
});

/** A Date leaves as RFC 3339 text. */
export const Time = Type.Unsafe<Date | string>({
  type: 'string',
  format: 'date-time',
  description: 'RFC 3339, UTC.',
  examples: ['2026-10-31T10:00:00.000Z'],
});

export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** PostgreSQL's texts cannot hold NUL, nor half of a surrogate pair. */
export const Reason = Type.String({
  minLength: 1,
  maxLength: 500,
  pattern: '^[^\\0\\ud800-\\udfff]*[^\\0\\ud800-\\udfff\\s][^\\0\\ud800-\\udfff]*$',
  description: 'Why, for the audit log.',
  examples: ['Duplicate event'],
});

/** What may be sent with a deed that needs no reason; Fastify takes a body that is missing for null. */
export const ReasonBody = Nullable(Type.Object({ reason: Type.Optional(Reason) }));

/** The one switch: while it is on, no worker claims anything. */
export const Pause = Type.Object({
  paused: Type.Boolean({ description: 'Nothing is claimed; what is in hand finishes; webhooks are accepted.' }),
  paused_at: Nullable(Time),
  paused_by: Nullable(Type.String({ examples: ['anna'] })),
  reason: Nullable(Type.String({ examples: ['Zoho Books is down'] })),
  event_types: Type.Array(
    Type.Object({ event_type: Type.String(), paused_at: Time, paused_by: Type.String(), reason: Type.String() }),
    { description: 'Event types that are paused by themselves.' },
  ),
});

/** One event type, or all of a module. */
export const EventTypePattern = Type.String({
  maxLength: 100,
  pattern: '^[\\w-]+\\.([*]|[\\w-]+)$',
  description: 'Only this event type, or all of a module.',
  examples: ['invoice.updated', 'invoice.*'],
});

export const IdParams = Type.Object({ id: Uuid });

export const DryRun = Type.Object({
  dry_run: Type.Optional(Type.Boolean({ description: 'Only says what would be done.' })),
});

/** What an operator changed in a record. */
export const Differences = Type.Array(
  Type.Object({
    path: Type.String({
      description: 'JSON pointer into the record; or event_type, organization_id, entity_id.',
      examples: ['/line_items/0/rate'],
    }),
    before: Type.Optional(Type.Unknown({ description: 'Missing: it was not there.' })),
    after: Type.Optional(Type.Unknown({ description: 'Missing: it is gone.' })),
  }),
);

export const MAX_LIMIT = 200;

/** Every list takes these two. */
export const Page = {
  limit: Type.Integer({
    minimum: 1,
    maximum: MAX_LIMIT,
    default: 50,
    description: `How many at once: 1 to ${MAX_LIMIT}. X-Total-Count of the answer says how many there are altogether.`,
  }),
  cursor: Type.Optional(
    Type.String({
      maxLength: 200,
      description:
        'Where to go on: the X-Next-Cursor of the answer before, unchanged. An answer without that header is the last.',
    }),
  ),
};

export const ProblemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What to do about it.' }),
    code: Type.String({ description: 'Stable, for programs.' }),
    request_id: Type.String({ description: 'Finds the request in the log.' }),
  },
  {
    description: 'Any error (RFC 9457).',
    examples: [
      {
        type: 'about:blank',
        title: 'Not Found',
        status: 404,
        detail: 'No dead letter has this id. Open ones are listed at dashboard/dead-letter.',
        code: 'not_found',
        request_id: '5f0c6e0e-6f7b-4b0a-9d53-2f5a3c1d7e10',
      },
    ],
  },
);

/** One event as the lists of the dashboard show it. */
export const EventInQueue = Type.Object({
  id: Uuid,
  event_type: Type.String({ examples: ['contact.created'] }),
  entity_id: Nullable(Type.String({ examples: ['460000000026049'] })),
  status: Type.String({ enum: [...STATUSES] }),
  attempt_count: Type.Integer({ examples: [1] }),
  priority: Type.Integer({ examples: [1], description: 'Lower runs first.' }),
  queued_at: Time,
  requeued_at: Nullable(Time),
  started_at: Nullable(Time),
  completed_at: Nullable(Time),
  error_message: Nullable(Type.String()),
  error_tag: Nullable(Type.String()),
  outcome: Nullable(Type.String({ examples: ['applied'] })),
  event_id: Uuid,
  organization_id: Type.String(),
});

import { type TSchema, Type } from 'typebox';

export const Uuid = Type.String({
  format: 'uuid',
  description: 'Ids are strings.',
  examples: ['0193a5e2-7b1c-7000-8000-3f6d2c9b1a04'],
});

/** A Date leaves as RFC 3339 text. */
export const Time = Type.Unsafe<Date | string>({
  type: 'string',
  format: 'date-time',
  description: 'RFC 3339, UTC.',
  examples: ['2026-10-31T10:00:00.000Z'],
});

export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const IdParams = Type.Object({ id: Uuid });

export const MAX_LIMIT = 200;

/** Every list takes these two. */
export const Page = {
  limit: Type.Integer({ minimum: 1, maximum: MAX_LIMIT, default: 50, description: `At most ${MAX_LIMIT}.` }),
  cursor: Type.Optional(
    Type.String({ maxLength: 200, description: 'Opaque: the X-Next-Cursor of the answer before.' }),
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

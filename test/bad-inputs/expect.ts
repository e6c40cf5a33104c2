/** What most cases are: a signed body, and what becomes of it. */
import { type Case, records } from './run.ts';
import { post, postAll } from './send.ts';

/** It is accepted and becomes one row of the mirror. */
export const mirrored = (body: string | Buffer, also?: Case['also']): Case => ({
  send: (at) => post(at, { body }),
  answer: 202,
  effect: 'mirrored',
  ...(also ? { also } : {}),
});

/** Each body is accepted and kept as a dead letter. */
export const quarantined = (...bodies: (string | Buffer)[]): Case => ({
  send: (at) =>
    postAll(
      at,
      bodies.map((body) => ({ body })),
    ),
  answer: 202,
  effect: 'quarantined',
});

/** The mirrored record matches, as text of jsonb. */
export const holds =
  (pattern: RegExp): Case['also'] =>
  async (t, at) =>
    t.match((await records(at))[0]?.record, pattern);

import { Type } from 'typebox';
import { deadLettersOfGroup, groupDeadLetters, MAX_LETTERS } from '../../monitor/dead-letter-groups.ts';
import type { Api, Deps } from '../deps.ts';
import { Time, Uuid } from '../schemas.ts';

const MAX_GROUPS = 100;

const Key = Type.String({ pattern: '^[0-9a-f]{16}$', description: 'Of a group.', examples: ['0f3a5c7e9b1d2468'] });

const Group = Type.Object({
  key: Key,
  kind: Type.Union([Type.Literal('failed'), Type.Literal('quarantined')]),
  error_tag: Type.String({ examples: ['TimeoutError'] }),
  message: Type.String({
    description: 'Without quoted values, ids and numbers.',
    examples: ['connect ETIMEDOUT …:…'],
  }),
  count: Type.Integer({ examples: [120] }),
  first_seen_at: Time,
  last_seen_at: Time,
  event_types: Type.Array(Type.String({ examples: ['contact.created'] }), { description: 'At most 5.' }),
  example_ids: Type.Array(Uuid, { description: 'At most 3, the latest first.' }),
  example_message: Type.String({ description: 'Of the latest, as it was.' }),
});

const Groups = Type.Object({
  letters: Type.Integer({ description: `Open dead letters looked at: the latest ${MAX_LETTERS} at most.` }),
  groups: Type.Array(Group, { description: `At most ${MAX_GROUPS}, the largest first.` }),
});

const GroupIds = Type.Object({ key: Key, ids: Type.Array(Uuid, { description: 'The oldest first.' }) });

/** Open dead letters by cause: error tag, and what their messages have in common. */
export function deadLetterGroupRoutes(api: Api, { db }: Deps): void {
  const config = { role: 'viewer' } as const;
  const tags = ['dashboard'];

  api.get(
    '/dashboard/dead-letter/groups',
    { config, schema: { tags, summary: 'Open dead letters by cause', response: { 200: Groups } } },
    async () => groupDeadLetters(db, MAX_GROUPS),
  );

  const params = Type.Object({ key: Key });
  const summary = 'The ids of a group, to be retried one after the other; none when it is gone';
  api.get(
    '/dashboard/dead-letter/groups/:key',
    { config, schema: { tags, summary, params, response: { 200: GroupIds } } },
    async ({ params: { key } }) => ({ key, ids: await deadLettersOfGroup(db, key) }),
  );
}

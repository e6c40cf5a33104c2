import { Type } from 'typebox';
import { MAX_FIELDS, readFieldDrift } from '../../monitor/field-drift.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Time } from '../schemas.ts';

const Field = Type.Object({
  module: Type.String({ examples: ['invoice'] }),
  field: Type.String({ examples: ['custom_field_hash.cf_region'] }),
  states: Type.Array(Type.String({ enum: ['new', 'vanished', 'unreadable', 'known'] })),
  first_seen_at: Time,
  last_seen_at: Time,
  seen: Type.Integer({ description: 'Records of the samples that had it.' }),
  missed: Type.Integer({ description: 'Records of the samples that lack it since it was seen last.' }),
  unreadable: Type.Integer({ description: 'Records that have text there which the view shows as null.' }),
  unreadable_at: Nullable(Time),
  unreadable_entity_id: Nullable(Type.String({ description: 'One of these records.' })),
});

const Query = Type.Object({
  all: Type.Boolean({ default: false, description: 'Every field, also those that have not changed in 30 days.' }),
});

/** Fields of records that appeared, vanished or became unreadable. */
export function fieldDriftRoutes(api: Api, { db }: Deps): void {
  const summary = 'Fields of records that changed in the last 30 days, by module';
  const fields = Type.Array(Field, { description: `At most ${MAX_FIELDS}.` });
  const schema = { tags: ['dashboard'], summary, querystring: Query, response: { 200: fields } };
  api.get('/dashboard/field-drift', { config: { role: 'viewer' }, schema }, ({ query }) =>
    readFieldDrift(db, query.all),
  );
}

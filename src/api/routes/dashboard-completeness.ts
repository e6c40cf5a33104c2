import { Type } from 'typebox';
import { readCompleteness } from '../../monitor/completeness.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Time, Uuid } from '../schemas.ts';

const LastReconcile = Type.Object({
  id: Uuid,
  verdict: Type.String({ examples: ['agrees'], description: 'agrees, repaired, differs or withheld.' }),
  records: Type.Integer(),
  agree: Type.Integer(),
  completed_at: Time,
});

const Row = Type.Object({
  organization_id: Type.String({ examples: ['10234695'] }),
  module: Type.String({ examples: ['invoice'] }),
  records: Nullable(
    Type.Integer({ description: 'Live records in Zoho when its list was last read whole; null: it never was.' }),
  ),
  holes: Type.Integer({ description: 'Changes that a pull found and no webhook had announced, of RETENTION_DAYS.' }),
  holes_last_24h: Type.Integer(),
  incomplete: Type.Integer({ description: 'Records of which only parts are known.' }),
  stale: Type.Integer({ description: 'Records of which a newer state is known to exist.' }),
  webhooks_last_24h: Type.Integer({ description: 'Counted by the hour: those of the current hour and the 24 before.' }),
  last_webhook_at: Nullable(Time),
  last_change_at: Nullable(Time),
  expected_within_seconds: Nullable(
    Type.Number({ description: 'A webhook comes at least this often; null: there were too few to say.' }),
  ),
  silent: Type.Boolean({
    description: 'A change later than the last webhook went unannounced, or none has come for longer than usual.',
  }),
  announced: Nullable(
    Type.Boolean({
      description: 'Whether rules in Zoho announce all changes, as of the last `npm run zoho -- check`.',
    }),
  ),
  last_reconcile: Nullable(LastReconcile),
});

/** Whether the books are complete: what webhooks missed, and what is still missing. */
export function completenessRoutes(api: Api, { db }: Deps): void {
  const summary = 'Whether each module is complete: holes of the webhooks, stale records, silence, the last verdict';
  const schema = { tags: ['dashboard'], summary, response: { 200: Type.Array(Row) } };
  api.get('/dashboard/completeness', { config: { role: 'viewer' }, schema }, () => readCompleteness(db));
}

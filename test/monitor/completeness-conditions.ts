/** The conditions of the rules about completeness. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { enqueue } from '../../src/queue/enqueue.ts';
import { judgeHoles } from '../../src/sync/holes.ts';
import { advanceMark } from '../../src/sync/marks.ts';
import { recordPulledChange } from '../../src/sync/pulled-changes.ts';
import type { TestDatabase } from '../helper.ts';
import { webhookOf } from '../sync/webhook.ts';
import type { Condition } from './condition.ts';

export const WEBHOOKS_PER_DAY = 10_000;
const DAY = 25 * 3600;
const ITEM = { organizationId: '10', module: 'item', entityId: '1' };

export function completenessConditions({ db, pool }: TestDatabase): Record<string, Condition> {
  /** A pull finds a change of a module that was pulled before, and no webhook has told of it. */
  const hole = () =>
    db.transaction().execute(async (trx) => {
      const runId = randomUUID();
      const mark = { organizationId: '10', module: 'item', runId, startedAt: '2026-01-01T00:00:00Z' };
      await advanceMark(trx, { ...mark, scannedPages: 1, scannedRecords: 1 });
      const found = { version: new Date(), difference: 'stale', announced: false, reason: 'SyncChanged' } as const;
      await recordPulledChange(trx, [{ ...ITEM, ...found, runId, eventId: randomUUID() }]);
      await judgeHoles(trx, 0);
    });
  const webhook = () => enqueue(pool, [webhookOf({ ...ITEM, action: 'updated', version: new Date() })]);
  const rules = (problems: string[]) =>
    sql`
    insert into tds_zoho_rules (organization_id, module, problems) values ('10', 'item', ${problems}::text[])
    on conflict (organization_id, module) do update set problems = excluded.problems`.execute(db);

  return {
    holes_found: { comes: hole, goes: async () => undefined, until: DAY },
    module_silent: { comes: hole, goes: webhook },
    webhook_limit_near: {
      async comes() {
        await webhook();
        await sql`update tds_change_totals set webhooks = ${(WEBHOOKS_PER_DAY * 91) / 100}`.execute(db);
      },
      goes: async () => undefined,
      until: DAY,
    },
    webhook_rule_missing: { comes: () => rules(['No active rule announces changes.']), goes: () => rules([]) },
  };
}

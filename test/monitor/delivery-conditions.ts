/** The conditions of the rules about what arrives: rejected deliveries, and records that look different. */
import { sampleFields } from '../../src/monitor/field-samples.ts';
import { RejectionCounter } from '../../src/monitor/rejections.ts';
import type { TestDatabase } from '../helper.ts';
import { arrive } from '../queue/engine.ts';
import type { Condition } from './condition.ts';

export function deliveryConditions({ db, pool }: TestDatabase): Record<string, Condition> {
  const deliveries = new RejectionCounter(db);
  const accepted = () => {
    deliveries.accepted();
    return deliveries.write();
  };

  /** Complete records like this one in the mirror, of completed events, and then a sample of them. */
  async function sampled(ids: string[], record: object): Promise<void> {
    await arrive(pool, ids);
    await pool.query(
      `insert into books_records (organization_id, module, entity_id, version, record, complete)
       select '60000000001', 'invoice', id, now(), $2, true from unnest($1::text[]) as id`,
      [ids, JSON.stringify(record)],
    );
    await pool.query(`update tds_sync_queue set status = 'completed'`);
    await sampleFields(db);
  }

  return {
    webhooks_rejected: {
      async comes() {
        await accepted();
        deliveries.count({ cause: 'wrong_secret', path: '/webhooks/zoho-books', bytes: null, sha256: null });
        await deliveries.write();
      },
      goes: accepted,
    },
    field_drift: {
      async comes() {
        const known = Array.from({ length: 25 }, (_, n) => `known-${n}`);
        await sampled(known, { total: 1 });
        await sampled(['changed'], { total: 1, shipping: 'by air' });
      },
      // A day later it is no news any more.
      goes: async () => undefined,
      until: 25 * 3600,
    },
  };
}

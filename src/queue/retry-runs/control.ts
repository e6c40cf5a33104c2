import { type Kysely, sql } from 'kysely';
import type { Schema } from '../../db/schema.ts';

export type Control = 'pause' | 'resume' | 'cancel';
export type ControlResult = { outcome: 'done' } | { outcome: 'not_found' } | { outcome: 'refused'; status: string };

const FROM: Record<Control, readonly ('running' | 'paused')[]> = {
  pause: ['running'],
  resume: ['paused'],
  cancel: ['running', 'paused'],
};
const TO = { pause: 'paused', resume: 'running', cancel: 'cancelled' } as const;

/**
 * Pauses, resumes or cancels a run. What it has released already stays in the queue. One that has ended, also by itself,
 * stays ended: begin another one.
 */
export async function controlRetryRun(
  db: Kysely<Schema>,
  id: string,
  control: Control,
  operator: string,
): Promise<ControlResult> {
  const { numUpdatedRows } = await db
    .updateTable('tds_retry_runs')
    .set({
      status: TO[control],
      status_reason: control === 'resume' ? null : `${TO[control]} by ${operator}`,
      ended_at: control === 'cancel' ? sql<Date>`now()` : null,
    })
    .where('id', '=', id)
    .where('status', 'in', FROM[control])
    .executeTakeFirst();
  if (numUpdatedRows > 0n) return { outcome: 'done' };
  const run = await db.selectFrom('tds_retry_runs').select('status').where('id', '=', id).executeTakeFirst();
  return run ? { outcome: 'refused', status: run.status } : { outcome: 'not_found' };
}

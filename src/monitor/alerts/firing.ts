import type { Database } from '../../db/database.ts';
import { describeRule, RULES } from './rules.ts';

/** A firing alert as the API shows it. */
export type FiringAlert = Awaited<ReturnType<typeof select>>[number] & { likely_cause: string; runbook_step: string };

/**
 * The firing alerts, split by whether somebody has acknowledged them; severest first, then oldest, then as the rules
 * stand in their table.
 */
export async function firingAlerts(db: Database): Promise<{ active: FiringAlert[]; acknowledged: FiringAlert[] }> {
  const alerts = (await select(db))
    .map(explained)
    .toSorted(
      (a, b) =>
        RANK.indexOf(a.severity) - RANK.indexOf(b.severity) ||
        a.fired_at.getTime() - b.fired_at.getTime() ||
        RULES.findIndex(({ rule }) => rule === a.rule) - RULES.findIndex(({ rule }) => rule === b.rule),
    );
  return {
    active: alerts.filter((alert) => alert.acknowledged_at === null),
    acknowledged: alerts.filter((alert) => alert.acknowledged_at !== null),
  };
}

function explained(alert: Awaited<ReturnType<typeof select>>[number]): FiringAlert {
  const { cause, step } = describeRule(alert.rule);
  return { ...alert, likely_cause: cause, runbook_step: step };
}

const RANK = ['critical', 'warning', 'info'];

function select(db: Database) {
  return db
    .selectFrom('tds_alerts')
    .select(['id', 'rule', 'labels', 'title', 'severity', 'message', 'value', 'threshold'])
    .select(['fired_at', 'last_seen_at', 'acknowledged_at', 'acknowledged_by', 'acknowledgement_note'])
    .where('resolved_at', 'is', null)
    .execute();
}

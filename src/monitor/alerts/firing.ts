import type { Database } from '../../db/database.ts';

/** A firing alert as the API shows it. */
export type FiringAlert = Awaited<ReturnType<typeof select>>[number];

/** The firing alerts, split by whether somebody has acknowledged them; severest first, then oldest. */
export async function firingAlerts(db: Database): Promise<{ active: FiringAlert[]; acknowledged: FiringAlert[] }> {
  const alerts = await select(db);
  return {
    active: alerts.filter((alert) => alert.acknowledged_at === null),
    acknowledged: alerts.filter((alert) => alert.acknowledged_at !== null),
  };
}

function select(db: Database) {
  return db
    .selectFrom('tds_alerts')
    .select(['id', 'rule', 'title', 'severity', 'message', 'value', 'threshold'])
    .select(['fired_at', 'last_seen_at', 'acknowledged_at', 'acknowledged_by'])
    .where('resolved_at', 'is', null)
    .orderBy((eb) => eb.case('severity').when('critical').then(0).when('warning').then(1).else(2).end())
    .orderBy('fired_at')
    .execute();
}

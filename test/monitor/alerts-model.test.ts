/** Random facts and acknowledgements against a model of a few lines: what fires, refreshes, stays quiet and resolves. */
import fc from 'fast-check';
import { sql } from 'kysely';
import t from 'tap';
import { acknowledgeAlert } from '../../src/monitor/alerts/acknowledge.ts';
import { bringInLine } from '../../src/monitor/alerts/evaluate.ts';
import { firingAlerts } from '../../src/monitor/alerts/firing.ts';
import { PULL_RULES, type PullFacts } from '../../src/monitor/alerts/pull-rules.ts';
import type { Facts } from '../../src/monitor/alerts/rules.ts';
import { WORKFLOW_RULES, type WorkflowFacts } from '../../src/monitor/alerts/workflow-rules.ts';
import { testDatabase } from '../helper.ts';

const { db } = await testDatabase(t);
const SEED = 20_261_125;

type Level = [above: number, rule: string, severity: 'critical' | 'warning' | 'info'];
const LEVELS: Record<keyof Facts, Level[]> = {
  secondsWithoutWorker: [[30, 'no_worker', 'critical']],
  pending: [
    [1000, 'queue_backlog_critical', 'critical'],
    [500, 'queue_backlog_warning', 'warning'],
  ],
  deadLetters: [
    [100, 'dead_letters_critical', 'critical'],
    [50, 'dead_letters_warning', 'warning'],
  ],
  stuck: [[0, 'stuck_events', 'warning']],
  failurePercent: [
    [10, 'failure_rate_critical', 'critical'],
    [5, 'failure_rate_warning', 'warning'],
  ],
  givenBack: [[0, 'events_given_back', 'warning']],
  ...(Object.fromEntries(
    [...WORKFLOW_RULES, ...PULL_RULES].map(({ condition, rule, severity }) => [condition, [[0, rule, severity]]]),
  ) as Record<keyof WorkflowFacts | keyof PullFacts, Level[]>),
  rejectedSinceAccepted: [[0, 'webhooks_rejected', 'warning']],
  driftingFields: [[0, 'field_drift', 'info']],
};
const CONDITIONS = Object.keys(LEVELS) as (keyof Facts)[];

type Open = { rule: string; severity: string; value: number; by: string | null };

/** One condition has one alert at most: it is raised, keeps its silence unless it grows worse, and clears. */
class Model {
  readonly open = new Map<keyof Facts, Open>();

  evaluate(facts: Facts): string[] {
    return CONDITIONS.flatMap((condition) => this.#judge(condition, facts[condition]));
  }

  acknowledge(nth: number, by: string): string | undefined {
    const alert = [...this.open.values()][nth % (this.open.size || 1)];
    if (alert) alert.by ??= by;
    return alert?.rule;
  }

  #judge(condition: keyof Facts, value: number | null): string[] {
    if (value === null) return [];
    const was = this.open.get(condition);
    const [, rule, severity] = LEVELS[condition].find(([above]) => value > above) ?? [];
    this.open.delete(condition);
    if (rule && severity) {
      const isWorse = was?.severity === 'warning' && severity === 'critical';
      this.open.set(condition, { rule, severity, value, by: isWorse ? null : (was?.by ?? null) });
    }
    if (was?.rule === rule) return [];
    return [...(was ? [`resolved ${was.rule}`] : []), ...(rule ? [`fired ${rule}`] : [])];
  }
}

/** At, just above and far from each threshold, or unknown. */
const value = (condition: keyof Facts) =>
  fc.constantFrom(null, 0, ...LEVELS[condition].flatMap(([above]) => [above, above + 1, above + 0.1]));
const facts = fc.record(
  Object.fromEntries(CONDITIONS.map((condition) => [condition, value(condition)])),
) as unknown as fc.Arbitrary<Facts>;
const step = fc.oneof(
  { weight: 3, arbitrary: facts },
  { weight: 2, arbitrary: fc.record({ nth: fc.nat(5), by: fc.constantFrom('ann', 'bob') }) },
);

t.test('alerts do what their model does, whatever the facts and the operators do', async (t) => {
  let compared = 0;
  const property = fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
    await sql`truncate tds_alerts`.execute(db);
    const model = new Model();
    for (const each of steps) {
      if ('nth' in each) await acknowledge(model.acknowledge(each.nth, each.by), each.by);
      else equal(await evaluate(each), model.evaluate(each), 'what changed');
      equal(await openAlerts(), [...model.open.values()].sort(byRule), 'what fires');
      compared += 1;
    }
  });
  await fc.assert(property, { seed: SEED, numRuns: 60 });
  t.ok(compared > 300, `${compared} steps`);
});

async function evaluate(facts: Facts): Promise<string[]> {
  const changes = await db.transaction().execute((trx) => bringInLine(trx, facts));
  return changes.map(({ change, rule }) => `${change} ${rule}`);
}

async function acknowledge(rule: string | undefined, by: string): Promise<void> {
  const { active, acknowledged } = await firingAlerts(db);
  const alert = [...active, ...acknowledged].find((each) => each.rule === rule);
  if (alert) await acknowledgeAlert(db, alert.id, by);
}

async function openAlerts(): Promise<Open[]> {
  const { active, acknowledged } = await firingAlerts(db);
  return [...active, ...acknowledged]
    .map(({ rule, severity, value, acknowledged_by }) => ({ rule, severity, value: value ?? -1, by: acknowledged_by }))
    .sort(byRule);
}

function byRule(a: Open, b: Open): number {
  return a.rule < b.rule ? -1 : 1;
}

function equal(found: unknown, wanted: unknown, what: string): void {
  const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`${what}: ${is}, but the model says ${should}`);
}

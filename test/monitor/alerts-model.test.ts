/**
 * Random facts, acknowledgements, crashes and clock steps against a model of a few lines: what waits, fires, refreshes,
 * stays quiet, is told and resolves.
 */
import fc from 'fast-check';
import { sql } from 'kysely';
import t from 'tap';
import { acknowledgeAlert } from '../../src/monitor/alerts/acknowledge.ts';
import { bringInLine } from '../../src/monitor/alerts/evaluate.ts';
import { firingAlerts } from '../../src/monitor/alerts/firing.ts';
import type { Facts } from '../../src/monitor/alerts/rules.ts';
import { testDatabase } from '../helper.ts';
import { CALM } from './calm.ts';

const { db } = await testDatabase(t);
const SEED = 20_261_125;
const MINUTE = 60_000;

type Level = { above: number; clears: number; after: number; rule: string; severity: 'critical' | 'warning' | 'info' };
const level = (above: number, rule: string, severity: Level['severity'], over: Partial<Level> = {}): Level => ({
  ...{ above, clears: above, after: 0, rule, severity },
  ...over,
});

/** Conditions of every kind: two severities with hysteresis, a duration, a label, one that a pause explains, and the pause. */
const LEVELS = {
  deadLetters: [
    level(100, 'dead_letters_critical', 'critical', { clears: 90 }),
    level(50, 'dead_letters_warning', 'warning', { clears: 45 }),
  ],
  recentFailurePercent: [
    level(5, 'error_rate_critical', 'critical', { clears: 4, after: 5 * MINUTE }),
    level(1, 'error_rate_warning', 'warning', { clears: 0.8, after: 5 * MINUTE }),
  ],
  rejected: [level(0, 'rejected_events', 'info')],
  standstill: [level(300, 'processing_standstill', 'warning')],
  paused: [level(0, 'processing_paused', 'warning')],
} as const satisfies Partial<Record<keyof Facts, Level[]>>;
type Condition = keyof typeof LEVELS;
const CONDITIONS = Object.keys(LEVELS) as Condition[];

type Open = { rule: string; severity: string; value: number; by: string | null };
type Standing = Open & { told: number; flapping: boolean; clearSince: number | null };
type Values = Record<Condition, number | null>;
type Said = string[];

/** One condition has one incident at most: it waits, is raised, keeps its silence unless it grows worse, and clears. */
class Model {
  readonly open = new Map<Condition, Standing>();
  readonly #since = new Map<string, number>();
  readonly #ended = new Map<Condition, number[]>();

  evaluate(values: Values, now: number): Said {
    const paused = (values.paused ?? 0) > 0;
    const said = CONDITIONS.flatMap((condition) => {
      const value = values[condition];
      return value === null || (paused && condition === 'standstill') ? [] : this.#judge(condition, value, now);
    });
    for (const [condition, alert] of this.open) {
      const quiet = alert.by !== null || alert.severity === 'info' || (paused && condition === 'standstill');
      if (quiet || now - alert.told < 240 * MINUTE) continue;
      alert.told = now;
      said.push(`reminder ${alert.rule}`);
    }
    return said;
  }

  acknowledge(nth: number, by: string): string | undefined {
    const alert = [...this.open.values()][nth % (this.open.size || 1)];
    if (alert) alert.by ??= by;
    return alert?.rule;
  }

  #judge(condition: Condition, value: number, now: number): Said {
    const was = this.open.get(condition);
    const levels: readonly Level[] = LEVELS[condition];
    const held = levels.filter(
      ({ rule, above, clears }) => value > (was?.rule === rule && was.clearSince === null ? clears : above),
    );
    for (const { rule } of levels) {
      if (held.some((one) => one.rule === rule)) this.#since.set(rule, Math.min(this.#since.get(rule) ?? now, now));
      else this.#since.delete(rule);
    }
    const is = held.find(({ rule, after }) => rule === was?.rule || now - (this.#since.get(rule) ?? now) >= after);
    if (!is) return was ? this.#clear(condition, was, now) : [];
    if (was && was.rule === is.rule) {
      Object.assign(was, { value, clearSince: null });
      return [];
    }
    const falls = was?.severity === 'critical' && is.severity === 'warning';
    const by = falls ? was.by : null;
    const recent = (this.#ended.get(condition) ?? []).filter((fired) => fired > now - 60 * MINUTE).length;
    const flapping = was ? was.flapping : recent >= 2;
    const alert = {
      rule: is.rule,
      severity: is.severity,
      value,
      by,
      told: now,
      flapping,
      clearSince: null,
      fired: now,
    };
    this.open.set(condition, alert);
    return by === null ? [`firing ${is.rule}`] : [];
  }

  #clear(condition: Condition, was: Standing, now: number): Said {
    was.clearSince = Math.min(was.clearSince ?? now, now);
    if (was.flapping && now - was.clearSince < 10 * MINUTE) return [];
    this.open.delete(condition);
    this.#ended.set(condition, [...(this.#ended.get(condition) ?? []), (was as Standing & { fired: number }).fired]);
    return [`resolved ${was.rule}`];
  }
}

/** At, just above and far from each threshold and where it clears, or unknown. */
const value = (condition: Condition) =>
  fc.constantFrom(
    null,
    0,
    0,
    ...LEVELS[condition].flatMap(({ above, clears }) => [above, above + 1, clears, clears + 0.1]),
  );
const values = fc.record(
  Object.fromEntries(CONDITIONS.map((condition) => [condition, value(condition)])),
) as unknown as fc.Arbitrary<Values>;
/** Mostly forward by what an evaluation, a duration, a calm or a reminder takes; sometimes the clock is put back. */
const minutes = fc.constantFrom(0.25, 0.25, 1, 5, 10, 30, 240, -2, -61);
const evaluated = fc.record({ values, minutes, crash: fc.constantFrom(false, false, false, true) });
const step = fc.oneof(
  { weight: 4, arbitrary: evaluated },
  { weight: 1, arbitrary: fc.record({ nth: fc.nat(5), by: fc.constantFrom('ann', 'bob') }) },
);

t.test('alerts do what their model does, whatever the facts, the operators, crashes and the clock do', async (t) => {
  let compared = 0;
  let flapped = 0;
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
    await sql`truncate tds_alerts, tds_alert_pending, tds_outbox`.execute(db);
    const model = new Model();
    let now = Date.parse('2026-01-01T00:00:00Z');
    for (const each of steps) {
      if ('nth' in each) await acknowledge(model.acknowledge(each.nth, each.by), each.by);
      else {
        now += each.minutes * MINUTE;
        if (each.crash) await crash(each.values, now);
        else equal(await evaluate(each.values, now), model.evaluate(each.values, now).sort(), 'what is told');
      }
      equal(await openAlerts(), [...model.open.values()].map(shown).sort(byRule), 'what fires');
      if ([...model.open.values()].some(({ flapping }) => flapping)) flapped += 1;
      compared += 1;
    }
  });
  await fc.assert(property, { seed: SEED, numRuns: 60 });
  t.ok(compared > 500, `${compared} steps`);
  t.ok(flapped > 0, `${flapped} of them while something flapped`);
});

function factsOf({ rejected, ...others }: Values): Facts {
  const labels = { error_tag: 'ConflictError' };
  return { ...CALM, ...others, rejected: rejected === null ? null : [{ labels, value: rejected }] };
}

async function evaluate(values: Values, now: number): Promise<Said> {
  await db.transaction().execute((trx) => bringInLine(trx, factsOf(values), { now: new Date(now) }));
  const { rows } = await sql<{ said: string }>`
    delete from tds_outbox returning concat_ws(' ', body ->> 'change', body ->> 'rule') as said`.execute(db);
  return rows.map(({ said }) => said).sort();
}

/** The process dies before it commits: neither the change nor what it tells has happened. */
async function crash(values: Values, now: number): Promise<void> {
  const died = new Error('died');
  const dying = db.transaction().execute(async (trx) => {
    await bringInLine(trx, factsOf(values), { now: new Date(now) });
    throw died;
  });
  await dying.catch((error: unknown) => {
    if (error !== died) throw error;
  });
  equal((await sql`select from tds_outbox`.execute(db)).rows.length, 0, 'what a crash leaves in the outbox');
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

function shown({ rule, severity, value, by }: Standing): Open {
  return { rule, severity, value, by };
}

function byRule(a: Open, b: Open): number {
  return a.rule < b.rule ? -1 : 1;
}

function equal(found: unknown, wanted: unknown, what: string): void {
  const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`${what}: ${is}, but the model says ${should}`);
}

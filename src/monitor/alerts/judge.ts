/** What a value means for one condition and one set of labels. Pure: the clock is an argument. */
import type { Rule } from './rule.ts';

/** After two incidents within an hour the third one is flapping: it ends only after so long a calm, in milliseconds. */
export const CALM_MS = 10 * 60_000;
export const FLAP_WINDOW_MS = 60 * 60_000;
export const INCIDENTS_BEFORE_FLAPPING = 2;

export type Standing = { rule: string; flapping: boolean; clearSince: Date | null };

export type Judgement = {
  /** Rules with a duration whose condition holds, and since when. */
  holding: Map<string, Date>;
  /** The rule that speaks for the condition now; undefined: it is clear. */
  firing: Rule | undefined;
  /** Of a clear condition whose incident stands: since when it has been clear. */
  clearSince: Date | undefined;
  /** Whether the standing incident ends. */
  ends: boolean;
};

/**
 * @param rules of one condition, the severest first
 * @param standing its incident that has not resolved
 * @param since by rule, since when its condition has held; a time to come (the clock was put back) counts as now
 */
export function judge(
  rules: readonly Rule[],
  value: number,
  standing: Standing | undefined,
  since: ReadonlyMap<string, Date>,
  now: Date,
): Judgement {
  const held = rules.filter((rule) => value > limit(rule, standing));
  const holding = new Map(
    held.filter((rule) => rule.forSeconds).map((rule) => [rule.rule, earlier(since.get(rule.rule) ?? now, now)]),
  );
  const firing = held.find((rule) => rule.rule === standing?.rule || isRipe(rule, holding, now));
  if (firing || !standing) return { holding, firing, clearSince: undefined, ends: false };
  const clearSince = earlier(standing.clearSince ?? now, now);
  const ends = !standing.flapping || now.getTime() - clearSince.getTime() >= CALM_MS;
  return { holding, firing, clearSince, ends };
}

/** Hysteresis: what fires goes on until the value has fallen to where it clears. */
function limit({ rule, threshold, clearsAt = threshold }: Rule, standing: Standing | undefined): number {
  return standing?.rule === rule && standing.clearSince === null ? clearsAt : threshold;
}

function isRipe({ rule, forSeconds = 0 }: Rule, holding: ReadonlyMap<string, Date>, now: Date): boolean {
  const since = holding.get(rule) ?? now;
  return now.getTime() - since.getTime() >= forSeconds * 1000;
}

function earlier(a: Date, b: Date): Date {
  return a < b ? a : b;
}

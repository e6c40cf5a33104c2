import type { RawBuilder } from 'kysely';
import type { Database } from '../../db/database.ts';
import { type Completeness, readCompleteness } from '../completeness.ts';
import type { Facts, Labelled } from './rule.ts';

type CompletenessFacts = Pick<Facts, 'holes' | 'silentModules' | 'webhookLimitPercent' | 'unannouncedModules'>;

/** What the rules about completeness look at. @param webhooksPerDay the plan's daily limit; without it nobody is near it */
export async function readCompletenessFacts(
  db: Database,
  at: RawBuilder<unknown>,
  webhooksPerDay?: number,
): Promise<CompletenessFacts> {
  const modules = await readCompleteness(db, at);
  const ofEach = (value: (one: Completeness) => number): Labelled =>
    modules.flatMap((one) => {
      const { organization_id, module } = one;
      return value(one) > 0 ? [{ labels: { organization_id, module }, value: value(one) }] : [];
    });
  return {
    holes: ofEach(({ holes_last_24h }) => holes_last_24h),
    silentModules: ofEach(({ silent }) => Number(silent)),
    unannouncedModules: ofEach(({ announced }) => Number(announced === false)),
    webhookLimitPercent: webhooksPerDay === undefined ? [] : limitPercent(modules, webhooksPerDay),
  };
}

function limitPercent(modules: Completeness[], webhooksPerDay: number): Labelled {
  const sent = new Map<string, number>();
  for (const { organization_id, webhooks_last_24h } of modules)
    sent.set(organization_id, (sent.get(organization_id) ?? 0) + webhooks_last_24h);
  return [...sent].map(([organization_id, webhooks]) => ({
    labels: { organization_id },
    value: (100 * webhooks) / webhooksPerDay,
  }));
}

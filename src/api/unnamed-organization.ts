import type { Deps } from './deps.ts';

const REPEAT_MS = 3_600_000;

/** Warns, once an hour at most, that deliveries which name no organization are kept apart because none is configured. */
export class UnnamedOrganization {
  readonly #deps: Pick<Deps, 'config' | 'log'>;
  readonly #now: () => number;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(deps: Pick<Deps, 'config' | 'log'>, now: () => number = Date.now) {
    this.#deps = deps;
    this.#now = now;
  }

  sawDelivery({ organizationNamed }: { organizationNamed: boolean }): void {
    const { config, log } = this.#deps;
    if (organizationNamed || config.defaultOrganization !== 'default' || this.#now() - this.#saidAt < REPEAT_MS) return;
    this.#saidAt = this.#now();
    const message =
      "a delivery names no organization and is kept under 'default': set ZOHO_ORGANIZATION_ID, restart, and run npm run adopt-organization";
    log.warn({ component: 'webhook' }, message);
  }
}

import t from 'tap';
import type { Deps } from '../../src/api/deps.ts';
import { UnnamedOrganization } from '../../src/api/unnamed-organization.ts';

/** How many warnings a series of deliveries leads to, `minutes` apart. */
function warnings(defaultOrganization: string, named: boolean[], minutes = 1): number {
  let said = 0;
  let clock = 0;
  const log = { warn: () => (said += 1) };
  const deps = { config: { defaultOrganization }, log } as unknown as Deps;
  const unnamed = new UnnamedOrganization(deps, () => clock);
  for (const organizationNamed of named) {
    unnamed.sawDelivery({ organizationNamed });
    clock += minutes * 60_000;
  }
  return said;
}

t.test('deliveries without an organization are warned of once, and again after an hour', async (t) => {
  t.equal(warnings('default', [false, false, false]), 1);
  t.equal(warnings('default', [false, false, false], 31), 2);
});

t.test('nothing is said when they name one, or when one is configured', async (t) => {
  t.equal(warnings('default', [true, true]), 0);
  t.equal(warnings('60000000001', [false, false]), 0);
});

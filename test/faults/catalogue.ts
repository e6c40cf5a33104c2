/** All faults, by family. Those of Redis alone (F38 to F40) are in test/queue/bullmq-faults.test.ts. */

import { disk } from './families/disk.ts';
import { fleetFaults } from './families/fleet.ts';
import { handlers } from './families/handlers.ts';
import { kills } from './families/kills.ts';
import { network } from './families/network.ts';
import { postgres } from './families/postgres.ts';
import { shutdown } from './families/shutdown.ts';
import { suspectFaults } from './families/suspects.ts';
import type { Fault } from './fault.ts';

export const FAMILIES = {
  kills,
  handlers,
  shutdown,
  postgres,
  network,
  disk,
  suspects: suspectFaults,
  fleet: fleetFaults,
};

export const FAULTS: Fault[] = Object.values(FAMILIES).flat();

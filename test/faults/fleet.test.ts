import t from 'tap';
import { fleetFaults } from './families/fleet.ts';
import { testFamily } from './family.ts';

await testFamily(t, fleetFaults);

import t from 'tap';
import { suspectFaults } from './families/suspects.ts';
import { testFamily } from './family.ts';

await testFamily(t, suspectFaults);

import t from 'tap';
import { kills } from './families/kills.ts';
import { testFamily } from './family.ts';

await testFamily(t, kills);

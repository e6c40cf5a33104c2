import t from 'tap';
import { postgres } from './families/postgres.ts';
import { testFamily } from './family.ts';

await testFamily(t, postgres);

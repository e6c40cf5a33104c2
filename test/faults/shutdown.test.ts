import t from 'tap';
import { shutdown } from './families/shutdown.ts';
import { testFamily } from './family.ts';

await testFamily(t, shutdown);

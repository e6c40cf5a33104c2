import t from 'tap';
import { disk } from './families/disk.ts';
import { testFamily } from './family.ts';

await testFamily(t, disk);

import t from 'tap';
import { network } from './families/network.ts';
import { testFamily } from './family.ts';

await testFamily(t, network);

import t from 'tap';
import { handlers } from './families/handlers.ts';
import { testFamily } from './family.ts';

await testFamily(t, handlers);

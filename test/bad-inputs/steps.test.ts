/** Ten times the input takes about ten times the steps, whatever is in it; a quadratic reader would take a hundred. */
import t from 'tap';
import { stepsOf } from '../steps.ts';

const counted = stepsOf(new URL('works.ts', import.meta.url), [10_000, 100_000]);

t.ok(Object.keys(counted).length > 20, 'there is something to count');
for (const [name, [small = 0, large = 0]] of Object.entries(counted)) {
  t.ok(small > 0 && large <= 12 * small, `${name}: ${small} and ${large} steps`);
}

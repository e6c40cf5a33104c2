import { test } from 'tap';
import { failuresOf } from './failures.ts';

const OUTPUT = `TAP version 14
# Subtest: test/a.test.ts
    # Subtest: outer
        # Subtest: inner
            not ok 1 - should be equal
              ---
              diff: |
                -2
                +1
              ...
            
            ok 2 - should be equal
            not ok 3 - known # TODO later
            1..3
        not ok 1 - inner # time=99.8ms
          ---
          isToplevel: true
          ...
        
        not ok 2 - second
        1..2
    not ok 1 - outer # time=131.4ms
    # Subtest: fine
        ok 1 - should be equal
        1..1
    ok 2 - fine # time=1ms
    1..2
not ok 1 - test/a.test.ts # time=218.7ms
  ---
  exitCode: 1
  ...

# Subtest: test/b.test.ts
    ok 1 - should be equal
    1..1
not ok 2 - test/b.test.ts # time=300000ms
  ---
  signal: SIGTERM
  ...
`;

test('every failed assertion is named with its file, its test and what differed', async (t) => {
  t.strictSame(failuresOf(OUTPUT), [
    'test/a.test.ts > outer > inner > should be equal\n    diff: |\n      -2\n      +1',
    'test/a.test.ts > outer > second',
    'test/b.test.ts\n    signal: SIGTERM',
  ]);
});

test('a run without a failure names none', async (t) => {
  t.strictSame(failuresOf('TAP version 14\n# Subtest: x\n    ok 1 - y\nok 1 - x\n1..1\n'), []);
});

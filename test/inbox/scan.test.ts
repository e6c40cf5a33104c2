import t from 'tap';
import { memberSource, sanitise, scan } from '../../src/inbox/scan.ts';

function nested(levels: number): string {
  return '['.repeat(levels) + ']'.repeat(levels);
}

t.test('64 levels pass and 65 do not, nor does a tower of 100,000', async (t) => {
  t.equal(scan(nested(64)).problem, null);
  t.match(scan(nested(65)).problem, /nests deeper than 64/);
  t.match(scan('{"a":'.repeat(100_000)).problem, /nests deeper than 64/);
  t.equal(scan(JSON.stringify({ text: '['.repeat(1000) })).problem, null, 'brackets inside a string are text');
});

t.test('numbers that would swell are named, ordinary ones are not', async (t) => {
  for (const number of ['1e401', '-1E+4000', '1e-130000', '9'.repeat(1001), `0.${'1'.repeat(1000)}`]) {
    t.match(scan(`{"a":[${number}]}`).problem, /a number has/, number.slice(0, 20));
  }
  for (const number of ['0', '-0', '-0.0', '1e400', '1.5E-400', '9'.repeat(1000), '260815000000113012']) {
    t.equal(scan(`{"a":${number}}`).problem, null, number.slice(0, 20));
  }
  t.equal(scan('{"a":"1e130000"}').problem, null, 'digits inside a string are text');
});

t.test('what jsonb refuses is noticed, escaped or raw', async (t) => {
  const refused = [
    '\\u0000',
    '\\ud800',
    '\\uDC00',
    '\\ud800\\ud800',
    '\\udc00\\ud800',
    '\\ud83dx',
    '\ud83d',
    '\ud83d\\ude00',
  ];
  for (const text of refused) t.equal(scan(`{"a":"x${text}y"}`).needsSanitising, true, text);
  for (const text of ['\\ud83d\\ude00', '😀', '\\\\u0000', '\\\\\\u0041', 'é', '\\"']) {
    t.equal(scan(`{"a":"x${text}y"}`).needsSanitising, false, text);
  }
});

t.test('sanitising replaces exactly what jsonb refuses', async (t) => {
  const text = '{"a":"\\u0000 \\\\u0000 \\ud83d\\ude00 \\ud83d\\ud83d\\ude00 \\uDC00 \ud83d 😀 \\n\\u0041"}';
  const clean = '{"a":"\\ufffd \\\\u0000 \\ud83d\\ude00 \\ufffd\\ud83d\\ude00 \\ufffd � 😀 \\n\\u0041"}';
  t.equal(sanitise(text), clean);
  t.equal(scan(clean).needsSanitising, false);
});

t.test('top-level members are found with their source, the last of a repeated key', async (t) => {
  const text = ' { "a" : 1.50 , "b\\u0063" : {"a":[2,{"a":3}]},"d":[ 4 , 5 ],"a":260815000000113012 } ';
  const sourceOf = (key: string) => memberSource(text, scan(text).members, key);
  t.equal(sourceOf('a'), '260815000000113012');
  t.equal(sourceOf('bc'), '{"a":[2,{"a":3}]}');
  t.equal(sourceOf('d'), '[ 4 , 5 ]');
  t.equal(sourceOf('e'), undefined);
  t.same(scan('{}').members, []);
});

t.test('text that is not JSON is survived', async (t) => {
  for (const text of ['', '"', '"\\', '"\\u', '"\\u12', '{"a"', '}}}]', ',:,:', '----', '{"a":1,,}', '\u0000']) {
    t.doesNotThrow(() => scan(text), text);
  }
});

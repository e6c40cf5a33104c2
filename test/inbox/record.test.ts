import t from 'tap';
import { deliver, form, quarantine } from './deliver.ts';

t.test('the record keeps exact digits, key order and repeats; the last of repeated keys counts', async (t) => {
  const record =
    '{"10":1,"2":-0.0,"invoice_id":"1","invoice_id":"2","rate":0.10000000000000000001,"total":9007199254740993.10}';
  const delivery = deliver(`{"invoice":{"invoice_id":"9"}, "invoice" : ${record} }`);
  t.equal(delivery.record, record);
  t.equal(delivery.entityId, '2');
});

t.test('what jsonb refuses is replaced in the record, and in nothing else', async (t) => {
  t.equal(
    deliver('{"item":{"item_id":"1","n":"a\\u0000b\\ud800 \\\\u0000"}}').record,
    '{"item_id":"1","n":"a\\ufffdb\\ufffd \\\\u0000"}',
  );
  const harmless = '{"item_id":"1","n":"\\u001b[2J \\u202e \\ud83d\\ude00 \\/"}';
  t.equal(deliver(`{"item":${harmless}}`).record, harmless);
  const twice = JSON.stringify({ payload: '{"item":{"item_id":"1","n":"\\ud800"}}' });
  t.equal(deliver(twice).record, '{"item_id":"1","n":"\\ufffd"}');
});

t.test('keys that would alter a prototype are quarantined anywhere and in any spelling', async (t) => {
  const keys = ['"__proto__"', '"__pr\\u006fto__"', '"\\u005f_proto__"'];
  for (const key of keys) {
    t.match(quarantine(`{${key}:{"admin":true}}`), { reason: /prototype/ }, key);
    t.match(quarantine(`{"item":{"item_id":"1","a":[{${key}:1}]}}`), { reason: /prototype/ }, key);
  }
  t.match(quarantine('{"item":{"item_id":"1","c\\u006fnstructor":{"prototype":{}}}}'), { reason: /prototype/ });
  t.match(quarantine('__proto__=1&item_id=2', { contentType: form }), { reason: /prototype/ });
  t.equal(
    deliver({ item: { item_id: '1', constructor: 'Bob', note: '__proto__ constructor prototype' } }).entityId,
    '1',
  );
  t.equal(({} as Record<string, unknown>).admin, undefined);
});

t.test('what is no JSON object is quarantined with a reason, keeping what the URL says', async (t) => {
  const bodies = [
    '',
    ' ',
    'hello',
    'null',
    '42',
    '"x"',
    '[]',
    '[{"invoice":{"invoice_id":"1"}}]',
    '{}',
    '{"a":NaN}',
    '{"a":Infinity}',
  ];
  bodies.push(
    '{"a":1',
    '{"invoice":{"invoice_id":"1","customer_name":"The "Best" Shop"}}',
    '{"a":"\u0000"}',
    '{"invoice":null}',
  );
  for (const body of bodies) {
    const parsed = quarantine(body, { organizationId: '60', module: 'invoices', action: 'edit' });
    t.match(
      parsed,
      { reason: /.{20}/, organizationId: '60', module: 'invoice', action: 'updated', entityId: null },
      body,
    );
    quarantine(body);
  }
  t.match(quarantine(Buffer.from([0x7b, 0xc0, 0xaf])), { reason: /UTF-8/ });
  t.match(quarantine('{"secret":"canary", oops}').reason, /not valid JSON at character \d+/);
  t.notMatch(quarantine('canary').reason, /canary/, 'a reason never quotes the payload');
});

t.test('hostile sizes are quarantined quickly', async (t) => {
  const started = performance.now();
  t.match(quarantine(`{"item":${'['.repeat(100_000)}`), { reason: /nests deeper/ });
  t.match(quarantine(`[${'1e130000,'.repeat(50_000)}1]`), { reason: /exponent/ });
  const wide = Array.from({ length: 80_000 }, (_, i) => `"k${i}":1`).join(',');
  t.match(quarantine(`{${wide}}`), { reason: /more than 10000 fields/ });
  t.equal(deliver({ item: { item_id: '1', name: 'x'.repeat(900_000) } }).entityId, '1');
  // Some 100 ms here; the bound tells linear from quadratic.
  t.ok(performance.now() - started < 5000);
});

t.test('any JSON value survives the cut: the record equals what was wrapped', async (t) => {
  const random = seeded(20260609);
  for (let round = 0; round < 500; round++) {
    const record = { item_id: '1', ...randomObject(random, 4) };
    const layouts = [
      { item: record },
      { noise: randomValue(random, 2), Items: [record] },
      { item: record, z: 1 },
      record,
    ];
    const body = JSON.stringify(layouts[round % 4], null, round % 3);
    t.same(JSON.parse(deliver(body, { module: 'item' }).record), JSON.parse(JSON.stringify(record)));
  }
});

/** Mulberry32: the same numbers on every machine, so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function randomObject(random: () => number, depth: number): Record<string, unknown> {
  const keys = Array.from({ length: Math.floor(random() * 6) }, () => randomText(random));
  return Object.fromEntries(keys.map((key) => [`k${key}`, randomValue(random, depth - 1)]));
}

function randomValue(random: () => number, depth: number): unknown {
  const kinds = [
    () => randomText(random),
    () => (random() - 0.5) * 10 ** Math.floor(random() * 30),
    () => [null, true, false, '', ' ', 0][Math.floor(random() * 6)],
    () => Array.from({ length: Math.floor(random() * 4) }, () => randomValue(random, depth - 1)),
    () => randomObject(random, depth),
  ];
  return kinds[Math.floor(random() * (depth > 0 ? 5 : 3))]?.();
}

function randomText(random: () => number): string {
  const alphabet = [
    'a',
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '\n',
    'é',
    '中',
    '😀',
    '\u001b',
    '\u2028',
    '/',
    ' ',
    'u0000',
  ];
  return Array.from({ length: Math.floor(random() * 8) }, () => alphabet[Math.floor(random() * alphabet.length)]).join(
    '',
  );
}

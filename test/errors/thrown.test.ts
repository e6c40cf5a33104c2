import t from 'tap';
import { classify, describeThrown, sanitizeText, TaggedError } from '../../src/errors.ts';

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

const thrower = () => {
  throw new Error('trap');
};

/** Every access throws, like a hostile handler's error. */
const hostile = () => new Proxy({}, { get: thrower, ownKeys: thrower, getPrototypeOf: thrower, has: thrower });

const trapped = {
  get message() {
    return thrower();
  },
  get cause() {
    return thrower();
  },
  toString: thrower,
};

function loop(): unknown {
  const outer = new Error('outer') as Error & { cause: unknown };
  outer.cause = new Error('inner', { cause: outer });
  return outer;
}

/** What may be stored: sizes in bytes of UTF-8, no NUL, no lone surrogates. */
function fitsDatabase(error: unknown): boolean {
  const { message, detail } = classify(error);
  const texts = [...detail.causes.flatMap((cause) => Object.values(cause)), detail.stack ?? ''].map(String);
  const bytes = texts.reduce((sum, part) => sum + Buffer.byteLength(part), 0);
  const isClean = [message, ...texts].every((part) => part.isWellFormed() && !part.includes('\0'));
  return isClean && message.length > 0 && Buffer.byteLength(message) <= 2048 && bytes <= 8192 && texts.length < 42;
}

t.test('whatever is thrown gets a readable message', async (t) => {
  const table: [unknown, string][] = [
    ['just text', 'just text'],
    ['', 'something without a message was thrown: ""'],
    [null, 'something without a message was thrown: null'],
    [undefined, 'something without a message was thrown: undefined'],
    [42, 'something without a message was thrown: 42'],
    [42n, 'something without a message was thrown: 42'],
    [10n ** 100_000n, 'something without a message was thrown: [large integer]'],
    [Symbol('s'), 'something without a message was thrown: Symbol(s)'],
    [() => 1, 'something without a message was thrown: [function]'],
    [{ code: 42 }, 'something without a message was thrown: {"code":42}'],
    [
      { a: [1, 'x', null], b: { c: true } },
      'something without a message was thrown: {"a":[1,"x",null],"b":{"c":true}}',
    ],
    [{ api_key: 'canary' }, 'something without a message was thrown: {"api_key":"[redacted]"}'],
    [new Response('', { status: 503 }), 'something without a message was thrown: {} (HTTP status 503)'],
    [Object.create(null), 'something without a message was thrown: {}'],
    [trapped, 'something without a message was thrown: {"message":undefined,"cause":undefined,"toString":[function]}'],
    [revoked(), 'something without a message was thrown: [unreadable]'],
    [hostile(), 'something without a message was thrown: [unreadable]'],
    [new Error(''), 'Error without a message'],
    [new AggregateError([new Error('refused')]), 'refused'],
  ];
  for (const [thrown, expected] of table) {
    t.equal(classify(thrown).message, expected, expected);
    t.ok(fitsDatabase(thrown), `${expected} can be stored`);
    t.ok(describeThrown(thrown).length > 0);
  }
});

t.test('a value that has a tag but no readable prototype is classified', async (t) => {
  const thrown = new Proxy({ tag: 'RateLimitError', message: 'later' }, { getPrototypeOf: thrower });
  t.match(classify(thrown), { tag: 'RateLimitError', message: 'later' });
});

t.test('no error is too large, too deep or too circular', async (t) => {
  const deep: Record<string, unknown> = {};
  deep.self = deep;
  deep.list = Array.from({ length: 100_000 }, () => deep);
  let causes: unknown;
  for (let depth = 0; depth < 10_000; depth += 1) causes = new Error(`😀\0${depth}`.repeat(500), { cause: causes });
  const huge = '😀"\n'.repeat(3_000_000);
  const wide = new AggregateError(
    Array.from({ length: 1000 }, () => answeredWith(huge)),
    huge,
  );
  const endless: unknown = new Proxy({}, { get: (_, key) => (key === 'message' ? 'again' : endless) });
  for (const thrown of [deep, causes, huge, wide, loop(), endless, answeredWith(huge), new Error(huge)]) {
    t.ok(fitsDatabase(thrown));
    t.ok(Buffer.byteLength(describeThrown(thrown)) <= 1024);
  }
  t.equal(classify(causes).detail.causes.length, 5);
  t.equal(classify(loop()).detail.causes.length, 2);
  t.match(classify(deep).message, /^something without a message was thrown: \{"self":\[circular\],"list":\[/);
  t.match(classify(causes).detail.stack, /thrown\.test/, 'the stack keeps its room');
});

function answeredWith(body: string): Error {
  return Object.assign(new Error(body), { name: body, code: body, status: 500, response: { body } });
}

t.test('random values of every kind are classified and can be stored', async (t) => {
  let seed = 20_261_125;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (seed >>> 8) % below;
  };
  const keys = ['message', 'name', 'cause', 'errors', 'code', 'status', 'tag', 'permanent', 'stack', 'headers'];
  const more = ['response', 'body', 'retryAfterSeconds', 'severity', 'data', 'get', 'constraint', 'constructor'];
  const make = (depth: number): unknown => {
    const leaves = [
      null,
      undefined,
      7,
      Number.NaN,
      5n,
      Symbol('x'),
      thrower,
      revoked(),
      hostile(),
      'a\0b',
      '\uDC00',
      '',
    ];
    const texts = ['23505', 'FATAL', 'x "secret" y', 'ValidationError', 'Query read timeout', '😀'.repeat(3000)];
    if (depth > 4 || random(3) === 0) return [...leaves, ...texts][random(leaves.length + texts.length)];
    if (random(4) === 0) return Array.from({ length: random(12) }, () => make(depth + 1));
    const made: object = random(2) === 0 ? new Error('made') : {};
    for (const key of [...keys, ...more]) {
      if (random(3) > 0) continue;
      const value = make(depth + 1);
      const field = random(6) === 0 ? { get: thrower } : { value };
      Object.defineProperty(made, key, { ...field, configurable: true, enumerable: true });
    }
    return made;
  };
  let stored = 0;
  for (let round = 0; round < 3000; round += 1) {
    const thrown = make(0);
    if (fitsDatabase(thrown) && !describeThrown(thrown).includes('\n')) stored += 1;
  }
  t.equal(stored, 3000);
});

t.test('texts are fit for PostgreSQL and cut by bytes, between characters', async (t) => {
  t.equal(sanitizeText('a\0b'), 'a\uFFFDb');
  t.equal(sanitizeText('a\uD800b'), 'a\uFFFDb');
  t.equal(sanitizeText('é'.repeat(1024)), 'é'.repeat(1024), 'exactly 2,048 bytes stay');
  t.equal(sanitizeText('é'.repeat(1025)), `${'é'.repeat(1022)}…`);
  t.equal(sanitizeText('😀😀😀', 11), '😀😀…');
  t.equal(sanitizeText('😀😀😀', 10), '😀…');
  t.equal(sanitizeText('\0\0\0\0', 9), '\uFFFD\uFFFD…');
  t.equal(sanitizeText('abcdef', 5), 'ab…');
  t.equal(sanitizeText('abcdef', 2), 'ab');
  t.equal(sanitizeText('abcdef', 0), '');
});

t.test('the detail names the causes, what a called system answered and the frames of the program', async (t) => {
  const inner = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  const response = { status: 502, data: { error: 'upstream', token: 'canary' } };
  const error = Object.assign(new TypeError('call failed', { cause: inner }), { response });
  const { detail } = classify(error);
  t.strictSame(detail.causes, [
    { name: 'TypeError', message: 'call failed', status: 502, body: '{"error":"upstream","token":"[redacted]"}' },
    { name: 'Error', message: 'refused', code: 'ECONNREFUSED' },
  ]);
  t.match(detail.stack, /thrown\.test/);
  t.notMatch(detail.stack, /node_modules|node:internal|call failed/);
  t.match(classify('text').detail, { causes: [{ name: 'string', message: 'text' }] });
  t.strictSame(classify(null).detail.causes[0]?.name, 'null');
  t.match(classify({ message: 'x', code: 7 }).detail.causes, [{ name: 'Object', code: '7' }]);
});

t.test('bodies are kept as far as they can be read', async (t) => {
  const body = (response: object) => classify({ message: 'x', response }).detail.causes[0]?.body;
  t.equal(body({ body: 'plain' }), 'plain');
  t.equal(body({ text: 'of superagent' }), 'of superagent');
  t.equal(body({ data: Buffer.from('bytes') }), 'bytes');
  t.equal(body({ body: new Response('stream').body }), undefined);
  t.equal(body({ text: () => 'later' }), undefined);
  t.equal(Buffer.byteLength(body({ data: 'é'.repeat(5000) }) ?? ''), 2048 - 1);
  t.equal(classify({ message: 'x', body: 'own' }).detail.causes[0]?.body, 'own');
});

t.test(
  'a stack has frames of libraries only when it has no others, and no message that looks like frames',
  async (t) => {
    const stackOf = (stack: string, message = 'm') => classify({ message, stack }).detail.stack;
    const own = '    at handle (file:///srv/handlers/invoice.ts:3:9)';
    const library = '    at send (/srv/node_modules/axios/index.js:1:1)';
    const internal = '    at async node:internal/process/task_queues:95:5';
    t.equal(stackOf(`Error: m\n${library}\n${own}\n${internal}`), own);
    t.equal(stackOf(`Error: m\n${library}\n${internal}`), `${library}\n${internal}`);
    t.equal(stackOf(`Error: x\n    at secret\n${own}`, 'x\n    at secret'), own);
    t.equal(stackOf('no frames'), undefined);
  },
);

t.test('an error is one line for the log', async (t) => {
  const inner = Object.assign(new Error('connect\nrefused'), { code: 'ECONNREFUSED' });
  t.equal(
    describeThrown(new TypeError('fetch failed', { cause: inner })),
    'TypeError: fetch failed; cause: Error: connect refused [ECONNREFUSED]',
  );
  t.equal(describeThrown('a\r\n\u2028b'), 'a b');
  t.equal(describeThrown(new TaggedError('ValidationError', 'no')), 'ValidationError: no');
  t.equal(describeThrown(null), 'something without a message was thrown: null');
});

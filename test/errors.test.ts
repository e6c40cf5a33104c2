import t from 'tap';
import { classify, type ErrorTag, TaggedError } from '../src/errors.ts';

const coded = (code: string) => Object.assign(new Error('failed'), { code });
const answered = (status: number) => Object.assign(new Error('failed'), { status });

function verdict(error: unknown): string {
  const { tag, permanent } = classify(error);
  return `${tag} ${permanent ? 'permanent' : 'transient'}`;
}

t.test('each kind of failure has its tag and its fate', async (t) => {
  const table: [unknown, string][] = [
    [coded('ECONNREFUSED'), 'NetworkError transient'],
    [coded('EAI_AGAIN'), 'NetworkError transient'],
    [new TypeError('fetch failed', { cause: coded('ECONNRESET') }), 'NetworkError transient'],
    [new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')]), 'NetworkError transient'],
    [AbortSignal.abort().reason, 'TimeoutError transient'],
    [new DOMException('too slow', 'TimeoutError'), 'TimeoutError transient'],
    [new Error('Query read timeout'), 'TimeoutError transient'],
    [new Error('Connection terminated unexpectedly'), 'NetworkError transient'],
    [answered(429), 'RateLimitError transient'],
    [answered(500), 'InternalServerError transient'],
    [answered(503), 'ServiceUnavailableError transient'],
    [{ statusCode: 502 }, 'InternalServerError transient'],
    [{ response: { status: 422 } }, 'ValidationError permanent'],
    [new Response('', { status: 429 }), 'RateLimitError transient'],
    [answered(400), 'ValidationError permanent'],
    [answered(401), 'ValidationError permanent'],
    [answered(403), 'ValidationError permanent'],
    [answered(404), 'ValidationError permanent'],
    [answered(408), 'TimeoutError transient'],
    [answered(409), 'ConflictError permanent'],
    [answered(200), 'UnknownError transient'],
    [new Error('no idea'), 'UnknownError transient'],
  ];
  for (const [error, expected] of table) t.equal(verdict(error), expected, expected);
});

t.test('PostgreSQL blames the event only when the event is to blame', async (t) => {
  const table: Record<string, string> = {
    '22P02': 'ValidationError permanent',
    '23502': 'ValidationError permanent',
    '54000': 'ValidationError permanent',
    '23505': 'ConflictError permanent',
    '23P01': 'ConflictError permanent',
    '40001': 'ServiceUnavailableError transient',
    '40P01': 'ServiceUnavailableError transient',
    '53100': 'ServiceUnavailableError transient',
    '53300': 'ServiceUnavailableError transient',
    '57P01': 'ServiceUnavailableError transient',
    '25006': 'ServiceUnavailableError transient',
    '55P03': 'TimeoutError transient',
    '57014': 'TimeoutError transient',
    '25P03': 'TimeoutError transient',
    '08006': 'NetworkError transient',
    '42P01': 'UnknownError transient',
    P0001: 'UnknownError transient',
  };
  for (const [code, expected] of Object.entries(table)) t.equal(verdict(coded(code)), expected, code);
});

t.test('a tagged error decides for itself', async (t) => {
  const limited = new TaggedError('RateLimitError', 'slow down', { retryAfterSeconds: 30 });
  t.match(classify(limited), { tag: 'RateLimitError', permanent: false, message: 'slow down', retryAfterSeconds: 30 });
  t.equal(verdict(new TaggedError('ValidationError', 'no such thing')), 'ValidationError permanent');
  t.equal(verdict(new TaggedError('UnknownError', 'give up', { permanent: true })), 'UnknownError permanent');
  t.equal(verdict(new TaggedError('ConflictError', 'wait', { permanent: false })), 'ConflictError transient');
  t.equal(verdict(new TaggedError('NetworkError', 'no', { cause: answered(400) })), 'NetworkError transient');
  t.equal(verdict(new Error('around', { cause: new TaggedError('ConflictError', 'no') })), 'ConflictError permanent');
});

t.test('an error of a handler may name a tag, but none that is not known', async (t) => {
  const tagged = (fields: object) => Object.assign(new Error('x'), fields);
  t.equal(verdict(tagged({ tag: 'RateLimitError' })), 'RateLimitError transient');
  t.equal(verdict(tagged({ name: 'ValidationError' })), 'ValidationError permanent');
  t.equal(verdict(tagged({ name: 'ConflictError', permanent: false })), 'ConflictError transient');
  t.equal(verdict({ tag: 'TimeoutError', status: 400 }), 'TimeoutError transient');
  for (const tag of ['Validation\0Error', 'validationerror', 'ProcessCrash', 'toString', '\uD800'])
    t.equal(verdict(tagged({ tag })), 'UnknownError transient', JSON.stringify(tag));
  t.equal(verdict(new TaggedError('No\0Tag' as ErrorTag, 'x', { permanent: true })), 'UnknownError permanent');
  t.equal(verdict(new TaggedError('ProcessCrash', 'ours')), 'ProcessCrash transient');
  t.equal(verdict(tagged({ name: 'UnknownError', code: 'ECONNRESET' })), 'NetworkError transient');
});

t.test('a wait asked for is brought into one second to a day', async (t) => {
  const table: [number, number | undefined][] = [
    [30, 30],
    [0, 1],
    [-5, 1],
    [0.2, 1],
    [1.5, 2],
    [1e300, 86_400],
    [Number.POSITIVE_INFINITY, 86_400],
    [Number.NEGATIVE_INFINITY, 1],
    [Number.NaN, undefined],
    ['30' as never, 30],
    ['soon' as never, undefined],
    ['1e300' as never, undefined],
    [10n as never, undefined],
    [{} as never, undefined],
  ];
  for (const [retryAfterSeconds, expected] of table) {
    const error = new TaggedError('RateLimitError', 'slow', { retryAfterSeconds });
    t.equal(classify(error).retryAfterSeconds, expected, String(retryAfterSeconds));
  }
});

t.test('Retry-After is understood as seconds and as each kind of HTTP date', async (t) => {
  const now = Date.parse('2026-11-06T08:49:37Z');
  const wait = (value: string) => classify({ status: 429, headers: { 'retry-after': value } }, now).retryAfterSeconds;
  const table: Record<string, number | undefined> = {
    '120': 120,
    ' 7 ': 7,
    '0': 1,
    '-1': undefined,
    '9999999': 86_400,
    soon: undefined,
    'any words 5': undefined,
    '': undefined,
    'Fri, 06 Nov 2026 08:51:37 GMT': 120,
    'Friday, 06-Nov-26 08:51:37 GMT': 120,
    'Fri Nov  6 08:51:37 2026': 120,
    '2026-11-06T08:51:37Z': 120,
    '2026-11-06T08:51:37': 120,
    '2026-11-06T09:51:37+01:00': 120,
    'Thu, 05 Nov 2026 08:49:37 GMT': 1,
    'Sat, 06 Nov 2027 08:49:37 GMT': 86_400,
    'Fri, 99 Nov 2026 99:99:99 GMT': undefined,
  };
  for (const [value, expected] of Object.entries(table)) t.equal(wait(value), expected, JSON.stringify(value));
});

t.test('a date without a zone is GMT, wherever the process runs', async (t) => {
  const { TZ } = process.env;
  t.teardown(() => {
    if (TZ === undefined) delete process.env.TZ;
    else process.env.TZ = TZ;
  });
  process.env.TZ = 'Asia/Tokyo';
  const now = Date.parse('2026-11-06T08:49:37Z');
  for (const value of ['Fri Nov  6 08:51:37 2026', '2026-11-06T08:51:37'])
    t.equal(classify({ headers: { 'retry-after': value } }, now).retryAfterSeconds, 120, value);
});

t.test('Retry-After is found wherever a client puts it', async (t) => {
  const response = new Response('', { status: 429, headers: { 'Retry-After': '17' } });
  const thrown: unknown[] = [
    response,
    Object.assign(new Error('x'), { response }),
    { response: { status: 429, headers: { 'Retry-After': '17' } } },
    { response: { status: 429, headers: { 'retry-after': ['17'] } } },
    { status: 429, headers: new Map([['retry-after', '17']]) },
    { status: 429, responseHeaders: { 'retry-after': 17 } },
    { status: 429, retryAfter: 17 },
    new TaggedError('RateLimitError', 'slow', { cause: { response } }),
    {
      headers: {
        get: () => {
          throw new Error('no');
        },
        'retry-after': '17',
      },
    },
  ];
  for (const error of thrown) t.equal(classify(error).retryAfterSeconds, 17);
  t.notOk('retryAfterSeconds' in classify(answered(429)), 'absent when nobody asked to wait');
});

t.test('today is what a date is measured from', async (t) => {
  const date = new Date(Date.now() + 3_600_000).toUTCString();
  const { retryAfterSeconds = 0 } = classify({ status: 503, headers: { 'retry-after': date } });
  t.ok(retryAfterSeconds > 3000 && retryAfterSeconds <= 3600, String(retryAfterSeconds));
});

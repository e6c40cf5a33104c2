import t from 'tap';
import { classify, isDatabaseWeather, sanitizeMessage, TaggedError } from '../src/errors.ts';

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
    [AbortSignal.abort().reason, 'TimeoutError transient'],
    [new DOMException('too slow', 'TimeoutError'), 'TimeoutError transient'],
    [answered(429), 'RateLimitError transient'],
    [answered(500), 'InternalServerError transient'],
    [answered(503), 'ServiceUnavailableError transient'],
    [{ statusCode: 502 }, 'InternalServerError transient'],
    [{ response: { status: 422 } }, 'ValidationError permanent'],
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
    '23505': 'ConflictError permanent',
    '23P01': 'ConflictError permanent',
    '40001': 'ServiceUnavailableError transient',
    '40P01': 'ServiceUnavailableError transient',
    '53100': 'ServiceUnavailableError transient',
    '57P01': 'ServiceUnavailableError transient',
    '25006': 'ServiceUnavailableError transient',
    '55P03': 'TimeoutError transient',
    '57014': 'TimeoutError transient',
    '08006': 'NetworkError transient',
    '42P01': 'UnknownError transient',
  };
  for (const [code, expected] of Object.entries(table)) t.equal(verdict(coded(code)), expected, code);
});

t.test('a tagged error decides for itself', async (t) => {
  const limited = new TaggedError('RateLimitError', 'slow down', { retryAfterSeconds: 30 });
  t.strictSame(classify(limited), {
    tag: 'RateLimitError',
    permanent: false,
    message: 'slow down',
    retryAfterSeconds: 30,
  });
  t.equal(verdict(new TaggedError('ValidationError', 'no such thing')), 'ValidationError permanent');
  t.equal(verdict(new TaggedError('UnknownError', 'give up', { permanent: true })), 'UnknownError permanent');
});

t.test('whatever is thrown gets a message', async (t) => {
  const hostile = {
    get message() {
      throw new Error('getter');
    },
    get cause() {
      throw new Error('getter');
    },
    toString() {
      throw new Error('toString');
    },
  };
  const loop: { cause?: unknown } = {};
  loop.cause = loop;
  for (const thrown of [null, undefined, 42, Symbol('s'), hostile, loop, Object.create(null), '', () => 1]) {
    const { tag, message } = classify(thrown);
    t.equal(tag, 'UnknownError');
    t.ok(message.length > 0, message);
  }
  t.equal(classify('just text').message, 'just text');
});

t.test('messages are fit for PostgreSQL and short', async (t) => {
  t.equal(sanitizeMessage('a\0b'), 'a\uFFFDb');
  t.equal(sanitizeMessage('a\uD800b'), 'a\uFFFDb');
  const cut = sanitizeMessage('😀'.repeat(1500));
  t.ok(cut.length <= 2000);
  t.ok(cut.isWellFormed());
  t.equal(classify(new Error('x\0')).message, 'x\uFFFD');
});

t.test('weather of the database is told from faults of the statement', async (t) => {
  const weather = ['40001', '40P01', '55P03', '57P01', '57P03', '53300', '53100', '25006', '08006', 'ECONNRESET'];
  for (const code of weather) t.ok(isDatabaseWeather(coded(code)), code);
  t.ok(isDatabaseWeather(new Error('Connection terminated unexpectedly')));
  t.ok(isDatabaseWeather(new Error('timeout exceeded when trying to connect')));
  for (const code of ['23505', '22P02', '42P01', '57014']) t.notOk(isDatabaseWeather(coded(code)), code);
  t.notOk(isDatabaseWeather(null));
});

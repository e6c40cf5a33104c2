import { type Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { CallCount } from './rate-limit.ts';

/**
 * All that travels through Redis: 'these entities have events that may run now', or 'in so many milliseconds'.
 * Losing one, or receiving it twice, changes nothing but the time at which somebody looks.
 */
export type Announcement = { jobId: string; entityKeys: string[]; priority: number; delayMs: number };
export type Received = { entityKeys: string[]; wasDelayed: boolean };

const QUEUE = 'events';
/** All keys begin with it. Installations that share a Redis take different databases: redis://host/1. */
const PREFIX = 'tds';
const TOKEN = 'signal';
const ANSWER_MS = 2000;
const RELAY_MS = 3000;
const MAX_PRIORITY = 2 ** 21;

type JobData = { entityKeys: string[] };

/**
 * A connection to Redis with a BullMQ queue on it. It never repairs itself: on any fault its owner closes it and
 * opens another, which leaves nothing to resume wrongly (bullmq issues 648, 2466, 2964, 4585).
 */
export class Channel {
  readonly #redis: Redis;
  readonly #workerId: string;
  readonly #queue: Queue<JobData>;
  readonly #worker: Worker<JobData>;
  readonly #stopped: AbortSignal;
  readonly #broken = new AbortController();

  private constructor(redis: Redis, workerId: string, stopped: AbortSignal) {
    this.#redis = redis;
    this.#workerId = workerId;
    this.#stopped = stopped;
    // Without its version check BullMQ asks nothing at start and prints nothing to the console.
    const options = { connection: redis, prefix: PREFIX, skipVersionCheck: true };
    this.#queue = new Queue(QUEUE, { ...options, streams: { events: { maxLen: 100 } } });
    // A job is in hand for a millisecond. One whose worker died in it is handed out again after 5 to 10 s.
    this.#worker = new Worker(QUEUE, null, {
      ...options,
      drainDelay: 1,
      lockDuration: 5000,
      stalledInterval: 5000,
      maxStalledCount: 100,
    });
    const onError = (error: Error) => this.#broken.abort(error);
    redis.on('error', onError).on('end', () => onError(new Error('the connection to Redis ended')));
    this.#queue.on('error', onError);
    this.#worker.on('error', onError);
  }

  /**
   * Connects to a Redis that takes writes.
   * @param stopped breaks off whatever waits for an answer, now and later
   * @throws Error when Redis leaves a question unanswered for 2 s
   */
  static async open(url: string, workerId: string, stopped: AbortSignal): Promise<Channel> {
    const channel = new Channel(await connect(url, stopped), workerId, stopped);
    try {
      await channel.#answer(channel.#worker.waitUntilReady());
      await channel.#answer(channel.#worker.startStalledCheckTimer());
      await channel.holdRelay();
      return channel;
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  /** Adding what is there already is a no-op: the id decides. */
  async announce(announcements: Announcement[]): Promise<void> {
    const jobs = announcements.map(({ jobId, entityKeys, priority, delayMs }) => ({
      name: delayMs > 0 ? 'due' : 'ready',
      data: { entityKeys },
      opts: {
        jobId,
        priority: Math.min(MAX_PRIORITY, Math.max(0, priority)),
        delay: delayMs,
        removeOnComplete: true,
        removeOnFail: true,
      },
    }));
    if (jobs.length > 0) await this.#answer(this.#queue.addBulk(jobs));
  }

  /** How many announcements wait to be received. */
  async waiting(): Promise<number> {
    return this.#answer(this.#queue.getJobCountByTypes('waiting', 'prioritized'));
  }

  /** Announcements of about `wanted` entities, most urgent first; waits about a second for the first. */
  async receive(wanted: number): Promise<Received[]> {
    const first = await this.#answer(this.#worker.getNextJob(TOKEN));
    const jobs: Job<JobData>[] = first ? [first] : [];
    // Doubling: a single job costs no hundred questions, and a hundred jobs take no hundred round trips.
    for (let ask = jobs.length; ask > 0; ask *= 2) {
      const sizes = jobs.map(({ data }) => data.entityKeys.length);
      const missing = wanted - sizes.reduce((sum, size) => sum + size, 0);
      const asked = Math.min(ask, Math.ceil(missing / Math.max(...sizes)));
      if (asked <= 0) break;
      const more = (await this.#answer(Promise.all(Array.from({ length: asked }, () => this.#next())))).flat();
      jobs.push(...more);
      if (more.length < asked) break;
    }
    // From here on PostgreSQL's claim counts: the jobs have done their work, and nobody waits for their end.
    for (const job of jobs) job.moveToCompleted(null, TOKEN, false).catch(() => {});
    return jobs.map(({ name, data }) => ({ entityKeys: data.entityKeys, wasDelayed: name === 'due' }));
  }

  async #next(): Promise<Job<JobData>[]> {
    const job = await this.#worker.getNextJob(TOKEN, { block: false });
    return job ? [job] : [];
  }

  /**
   * Whether this worker is the one that relays, for the next 3 s; 'taken' when nobody was, as far as Redis remembers.
   * Two at once are harmless. A Redis that cannot take writes (full, read-only) throws, whoever asks.
   */
  async holdRelay(): Promise<'taken' | 'held' | 'elsewhere'> {
    const key = `${PREFIX}:relay`;
    const taken = await this.#answer(this.#redis.set(key, this.#workerId, 'PX', RELAY_MS, 'NX'));
    if (taken === 'OK') return 'taken';
    const holder = await this.#answer(this.#redis.get(key));
    if (holder !== this.#workerId) return 'elsewhere';
    await this.#answer(this.#redis.set(key, this.#workerId, 'PX', RELAY_MS));
    return 'held';
  }

  /** Lets another worker relay at once. */
  async leaveRelay(): Promise<void> {
    await this.#answer(this.#redis.del(`${PREFIX}:relay`));
  }

  /** The counter of rate-limit.ts, by Redis' own clock. */
  async countCall(name: string, durationMs: number): Promise<CallCount> {
    const counted = await this.#answer(this.#redis.eval(COUNT_CALL, 1, `${PREFIX}:calls:${name}`, durationMs));
    const [calls = 1, remainingMs = 0] = counted as number[];
    return { calls, remainingMs };
  }

  /** Cuts the connections; what waits for an answer fails. Waits for nothing (bullmq issue 2430). */
  close(): void {
    this.#broken.abort(new Error('the channel was closed'));
    this.#worker.close(true).catch(() => {});
    this.#queue.close().catch(() => {});
    this.#redis.disconnect();
  }

  /** The answer, or an error when it takes too long or the connection breaks: a dead Redis must not hold anybody. */
  #answer<T>(answer: Promise<T>): Promise<T> {
    return answerOf(answer, [this.#stopped, this.#broken.signal]);
  }
}

const COUNT_CALL = `
local calls = redis.call('incr', KEYS[1])
if calls == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) end
return { calls, redis.call('pttl', KEYS[1]) }`;

/** True when Redis stores something within 2 s. */
export async function writesToRedis(url: string): Promise<boolean> {
  try {
    const redis = await connect(url);
    return await answerOf(redis.set(`${PREFIX}:health`, '', 'PX', ANSWER_MS))
      .then(() => true)
      .finally(() => redis.disconnect());
  } catch {
    return false;
  }
}

async function connect(url: string, stopped?: AbortSignal): Promise<Redis> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: ANSWER_MS,
    // BullMQ demands null. Nothing is sent twice all the same, for there is no second connection.
    maxRetriesPerRequest: null,
    retryStrategy: () => null,
  });
  redis.on('error', () => {}); // ioredis prints errors that nobody listens for
  try {
    await answerOf(redis.connect(), stopped ? [stopped] : []);
    return redis;
  } catch (error) {
    redis.disconnect();
    throw error;
  }
}

/** The answer, if it comes within 2 s and before any of `breaks`. A timer of its own: signals may be collected. */
async function answerOf<T>(answer: Promise<T>, breaks: AbortSignal[] = []): Promise<T> {
  const { promise: given, reject: giveUp } = Promise.withResolvers<never>();
  const onBreak = () => giveUp(breaks.find((signal) => signal.aborted)?.reason);
  const timer = setTimeout(() => giveUp(new Error(`Redis did not answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  for (const signal of breaks) signal.addEventListener('abort', onBreak, { once: true });
  if (breaks.some((signal) => signal.aborted)) onBreak();
  answer.catch(() => {}); // nobody waits for it any more when it fails after the time is up
  try {
    return await Promise.race([answer, given]);
  } finally {
    clearTimeout(timer);
    for (const signal of breaks) signal.removeEventListener('abort', onBreak);
  }
}

import type { Logger } from '../../log.ts';
import { type Outgoing, post } from './post.ts';

export type HeartbeatConfig = { heartbeatUrl: string | undefined; alertWebhookAllowPrivate: boolean };

const EVERY_MS = 60_000;

/**
 * The dead man's switch: calls HEARTBEAT_URL once a minute for as long as alerts are evaluated. Whoever listens there
 * raises the alarm when the calls stop, which is the one thing that nobody here can tell.
 */
export class DeadMansSwitch {
  readonly #config: HeartbeatConfig;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #send: (outgoing: Outgoing) => Promise<void>;
  #calledAt = Number.NEGATIVE_INFINITY;

  constructor(config: HeartbeatConfig, log: Logger, { now = () => performance.now(), send = post } = {}) {
    this.#config = config;
    this.#log = log;
    this.#now = now;
    this.#send = send;
  }

  /** Alerts were evaluated: calls, unless it did so within the last minute. Never throws. */
  async evaluated(): Promise<void> {
    const { heartbeatUrl: url, alertWebhookAllowPrivate: allowPrivate } = this.#config;
    if (!url || this.#now() - this.#calledAt < EVERY_MS) return;
    this.#calledAt = this.#now();
    try {
      await this.#send({ url, method: 'GET', allowPrivate });
    } catch (error) {
      this.#log.warn({ component: 'notifications', reason: (error as Error).message }, 'heartbeat not taken');
    }
  }
}

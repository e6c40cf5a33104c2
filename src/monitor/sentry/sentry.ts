/**
 * Sentry by its documented protocol: one POST of an envelope per report. Its SDK would bring some fifty packages and
 * hooks into every module, for what is one request here. Loaded only when SENTRY_DSN is set.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config.ts';
import { beforeFatalExit, type Logger } from '../../log.ts';
import { VERSION } from '../../version.ts';
import { post } from '../notify/post.ts';
import { envelopeOf, errorEvent, type SentryEvent } from './event.ts';

export type SentryConfig = { dsn: string; environment: Config['nodeEnv'] };

/** A process that dies waits no longer for Sentry. */
const LAST_WORD_MS = 1000;
/** An error that comes with every request is one piece of news. */
const SILENCE_MS = 3_600_000;
/** Kinds of errors that are remembered. */
const MOST_KINDS = 100;

/** Sends one report; throws when it was not taken. */
export async function sendToSentry({ dsn, environment }: SentryConfig, event: SentryEvent): Promise<void> {
  const { origin, pathname, username: key } = new URL(dsn);
  const [, folder = '', project = ''] = /^(.*)\/([^/]+)$/.exec(pathname) ?? [];
  await post({
    url: `${origin}${folder}/api/${project}/envelope/`,
    headers: {
      'content-type': 'application/x-sentry-envelope',
      'x-sentry-auth': `Sentry sentry_version=7, sentry_client=tds-core/${VERSION}, sentry_key=${key}`,
    },
    body: envelopeOf(event, environment),
    // An installation of one's own stands in the private network.
    allowPrivate: true,
  });
}

/** Reports an error that ends this process, before it ends. */
export function reportFatalErrors(config: SentryConfig, service: string): void {
  beforeFatalExit((error) =>
    Promise.race([sendToSentry(config, errorEvent(service, error, 'fatal')), sleep(LAST_WORD_MS)]),
  );
}

/** Reports errors that this process survives, in the background: each kind once an hour. */
export function errorReporter(config: SentryConfig, service: string, log: Logger): (error: unknown) => void {
  const reported = new Map<string, number>();
  return (error) => {
    const event = errorEvent(service, error, 'error');
    const kind = event.fingerprint.join(' ');
    if (Date.now() - (reported.get(kind) ?? -Infinity) < SILENCE_MS) return;
    if (reported.size >= MOST_KINDS) reported.clear();
    reported.set(kind, Date.now());
    sendToSentry(config, event).catch(({ message }: Error) => {
      reported.delete(kind);
      log.warn({ component: 'sentry', reason: message }, 'Sentry did not take a report');
    });
  };
}

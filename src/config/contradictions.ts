import type { Settings } from './settings.ts';
import { isLoopback, isPrivateHost } from './values.ts';

/** Settings that are each usable but contradict one another: a sentence for each pair. */
export function contradictions(settings: Settings): string[] {
  const { nodeEnv, host, operators, webhookSecrets, webhookToken } = settings;
  const production = nodeEnv === 'production';
  // Whether each organization of that file has a secret is judged when it is read.
  const signed = webhookSecrets.length > 0 || settings.zohoOrganizationsFile !== undefined;
  const unsigned = !signed && webhookToken.length === 0;
  const rules: [broken: boolean, advice: string][] = [
    [production && unsigned, 'NODE_ENV=production needs ZOHO_WEBHOOK_SECRET or ZOHO_WEBHOOK_TOKEN: set one.'],
    [production && operators.length === 0, 'NODE_ENV=production needs OPERATOR_TOKENS (name:role:token): set it.'],
    [production && settings.crashAt !== undefined, 'TDS_CRASH_AT is for tests: remove it or NODE_ENV=production.'],
    [
      operators.length === 0 && !isLoopback(host),
      'HOST is open to the network without OPERATOR_TOKENS: set tokens or HOST=127.0.0.1.',
    ],
    [
      unsigned && !isLoopback(host),
      'HOST is open to the network without ZOHO_WEBHOOK_SECRET or ZOHO_WEBHOOK_TOKEN: set one or HOST=127.0.0.1.',
    ],
    [
      settings.webhookAuth === 'both' && (!signed || webhookToken.length === 0),
      'WEBHOOK_AUTH=both needs ZOHO_WEBHOOK_SECRET and ZOHO_WEBHOOK_TOKEN: set both or WEBHOOK_AUTH=either.',
    ],
    [
      settings.queueDriver === 'bullmq' && settings.redisUrl === undefined,
      'QUEUE_DRIVER=bullmq needs REDIS_URL: set it or QUEUE_DRIVER=postgres.',
    ],
    ...privateTargets(settings),
    [
      settings.alertSmtpUrl !== undefined && !(settings.alertMailFrom && settings.alertMailTo),
      'ALERT_SMTP_URL needs ALERT_MAIL_FROM and ALERT_MAIL_TO: set both.',
    ],
    [
      settings.digestCron !== undefined && !settings.alertWebhookUrl && !settings.alertSmtpUrl,
      'DIGEST_CRON needs ALERT_WEBHOOK_URL or ALERT_SMTP_URL: set one.',
    ],
    [
      settings.retryMaxSeconds < settings.retryBaseSeconds,
      'RETRY_MAX_SECONDS is less than RETRY_BASE_SECONDS: raise it.',
    ],
    [
      (settings.watchdogSeconds ?? 0) > 0 && (settings.watchdogSeconds ?? 0) < 1,
      'WATCHDOG_SECONDS below 1 would end healthy workers: raise it, or switch the watchdog off with 0.',
    ],
    [
      (settings.watchdogSeconds ?? 0) > settings.leaseSeconds / 2,
      'WATCHDOG_SECONDS is more than half of LEASE_SECONDS, so that other workers would act first: lower it.',
    ],
  ];
  return rules.filter(([broken]) => broken).map(([, advice]) => advice);
}

/** The process would become a way into the local network: somebody has to say that it may. */
function privateTargets(settings: Settings): [broken: boolean, advice: string][] {
  const { alertWebhookUrl, lifecycleWebhookUrl, heartbeatUrl, alertWebhookAllowPrivate } = settings;
  const targets = {
    ALERT_WEBHOOK_URL: alertWebhookUrl,
    LIFECYCLE_WEBHOOK_URL: lifecycleWebhookUrl,
    HEARTBEAT_URL: heartbeatUrl,
  };
  return Object.entries(targets).map(([env, url]) => [
    url !== undefined && !alertWebhookAllowPrivate && isPrivateHost(new URL(url).hostname),
    `${env} points to this machine or a private network: change it, or allow that with ALERT_WEBHOOK_ALLOW_PRIVATE=1.`,
  ]);
}

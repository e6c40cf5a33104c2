/** Where each kind of notice goes, and how one message gets there. */
import type { Config } from '../../config.ts';
import type { Channel, NoticeKind } from '../../db/schema.ts';
import { sendMail } from './mail.ts';
import type { Message, Places } from './message.ts';
import { post, type Resolve } from './post.ts';
import { webhookHeaders } from './sign.ts';

export type NotifyConfig = Pick<
  Config,
  | 'alertWebhookUrl'
  | 'lifecycleWebhookUrl'
  | 'alertWebhookAllowPrivate'
  | 'alertWebhookSecrets'
  | 'alertSmtpUrl'
  | 'alertMailFrom'
  | 'alertMailTo'
  | 'alertGroupSeconds'
  | 'publicUrl'
  | 'runbookUrl'
  | 'host'
  | 'port'
  | 'basePath'
> & { resolve?: Resolve };

const CHANNELS: Record<NoticeKind, readonly Channel[]> = {
  alert: ['alerts', 'mail'],
  digest: ['alerts', 'mail'],
  lifecycle: ['lifecycle'],
  test: ['alerts', 'mail', 'lifecycle'],
};

/** The channels of a kind that are set up. */
export function channelsOf(kind: NoticeKind, config: NotifyConfig): Channel[] {
  const isSet = { alerts: config.alertWebhookUrl, mail: config.alertSmtpUrl, lifecycle: config.lifecycleWebhookUrl };
  return CHANNELS[kind].filter((channel) => isSet[channel] !== undefined);
}

/** Every channel that is set up. */
export function allChannels(config: NotifyConfig): Channel[] {
  return channelsOf('test', config);
}

export function placesOf({ publicUrl, runbookUrl, host, port, basePath }: NotifyConfig): Places {
  return { publicUrl: publicUrl ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}${basePath}`, runbookUrl };
}

/** Sends a message once; throws when it was not taken. */
export async function send(channel: Channel, id: string, message: Message, config: NotifyConfig): Promise<void> {
  if (channel === 'mail') return mail(id, message, config);
  const url = channel === 'alerts' ? config.alertWebhookUrl : config.lifecycleWebhookUrl;
  if (!url) throw new Error('the address is no longer set');
  const body = JSON.stringify(message);
  await post({
    ...{ url, body, allowPrivate: config.alertWebhookAllowPrivate },
    headers: webhookHeaders(id, body, config.alertWebhookSecrets, new Date()),
    ...(config.resolve ? { resolve: config.resolve } : {}),
  });
}

async function mail(id: string, message: Message, config: NotifyConfig): Promise<void> {
  const { alertSmtpUrl: url, alertMailFrom: from, alertMailTo: to } = config;
  if (!url || !from || !to) throw new Error('mail is no longer set up');
  await sendMail({ url, from, to }, id, message);
}

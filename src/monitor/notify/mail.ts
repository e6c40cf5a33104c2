import { isIP } from 'node:net';
import type { Message } from './message.ts';

export type MailSettings = { url: string; from: string; to: string };

const TIMEOUT_MS = 10_000;

/**
 * Sends a message by SMTP; throws when the server does not take it. Message-ID is the key, the same for every attempt,
 * so that a mailbox shows a repeat as the same mail. nodemailer is loaded with the first mail: most installations send none.
 */
export async function sendMail({ url, from, to }: MailSettings, id: string, { text }: Message): Promise<void> {
  const { createTransport } = await import('nodemailer');
  const waits = { connectionTimeout: TIMEOUT_MS, greetingTimeout: TIMEOUT_MS, socketTimeout: TIMEOUT_MS };
  // An address has no certificate that anybody could check, and a local relay often has none at all.
  const local = isIP(new URL(url).hostname) !== 0;
  const transport = createTransport({ url, ...waits, ...(local ? { tls: { rejectUnauthorized: false } } : {}) });
  try {
    const [subject = 'TDS Core'] = text.split('\n');
    await transport.sendMail({ from, to, subject: plain(subject), text: plain(text), messageId: `<${id}@tds-core>` });
  } finally {
    transport.close();
  }
}

/** Slack's bold is no use in a mail. */
function plain(text: string): string {
  return text.replaceAll('*', '');
}

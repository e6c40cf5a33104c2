import { randomUUID } from 'node:crypto';
import { newEventId } from '../../src/inbox/uuid.ts';
import type { Enqueued } from '../../src/queue/enqueue.ts';

type Given = {
  organizationId: string;
  module: string;
  entityId: string;
  action: string;
  version: Date | null;
  record?: object | string;
};

/** A delivery as the inbox stores it. */
export function webhookOf({ record = {}, version, ...given }: Given): Enqueued {
  const text =
    typeof record === 'string' ? record : JSON.stringify({ [`${given.module}_id`]: given.entityId, ...record });
  return {
    ...{ ...given, version, versioned: version !== null, eventId: newEventId(), dedupeKey: randomUUID() },
    ...{ source: 'webhook', eventType: `${given.module}.${given.action}`, record: Buffer.from(text) },
    ...{ quarantineReason: null, rawBody: null, ip: null, userAgent: null, request: null },
  };
}

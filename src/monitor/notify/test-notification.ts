import type { Database } from '../../db/database.ts';
import { put } from '../alerts/outbox.ts';
import type { Message } from './message.ts';

/** Puts a test notification into the outbox, for every receiver that is set up. */
export async function queueTest(db: Database, operator: string): Promise<void> {
  const message: Omit<Message, 'timestamp'> = {
    type: 'alert.test',
    text: '*TDS Core: test notification*\nNothing is wrong. Alerts arrive here.',
    data: { count: 1, sent_by: operator },
  };
  await put(db, 'test', message);
}

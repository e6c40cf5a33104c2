/** A load that is cut by kill -9, and the client that lives through it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Teardown, waitFor } from '../helper.ts';
import { end, type Settings, type System, startApi, startWorker } from '../system.ts';
import { type Delivery, deliver } from './zoho.ts';

const SENDERS = 8;
const PAUSE_MS = 30;
const PATIENCE_MS = 90_000;

/** Sends everything, each delivery again and again until it is answered. `answered` grows meanwhile. */
export async function sendAll(system: Pick<System, 'api'>, deliveries: Delivery[], answered: string[]): Promise<void> {
  const waiting = [...deliveries];
  const sender = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) answered.push(await sendUntilAnswered(system, next));
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
}

async function sendUntilAnswered(system: Pick<System, 'api'>, delivery: Delivery): Promise<string> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return (await deliver(system, delivery)).event_id;
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

/** kill -9 of the API each time so many deliveries are answered; its successor takes the same port. */
export async function killApiAt(t: Teardown, system: System, settings: Settings, marks: number[], count: () => number) {
  const { port: PORT } = new URL(system.api.url);
  for (const mark of marks) {
    await waitFor(`${mark} answers`, () => count() >= mark);
    await end(system.api.child, 'SIGKILL');
    system.api = await startApi(t, { ...settings, PORT });
  }
}

/** kill -9 of the worker each time so many events are completed. */
export async function killWorkerAt(t: Teardown, system: System, settings: Settings, marks: number[]) {
  for (const mark of marks) {
    await waitFor(`${mark} effects`, async () => (await effectsOf(system)) >= mark);
    await end(system.worker.child, 'SIGKILL');
    system.worker = await startWorker(t, settings);
  }
}

async function effectsOf({ pool }: System): Promise<number> {
  const { rowCount } = await pool.query('select from appended_effects');
  return rowCount ?? 0;
}

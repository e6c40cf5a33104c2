/** An error that no handler is to blame for, while one is at work. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../../../src/log.ts';
import { Containment, containErrors, outsideHandlers } from '../../../src/worker/containment.ts';

const log = createLogger('tds-core-worker');
containErrors(log);
const never = new AbortController().signal;
const wait = async () => {
  outsideHandlers(() =>
    setTimeout(() => {
      throw new Error('ours');
    }, 10),
  );
  await sleep(60_000);
};
await new Containment().run({ handler: 'innocent', events: [] }, never, wait).catch(() => {});

/** Sends every sample to a running `npm start`, and an event that becomes a dead letter. */
import { setTimeout as sleep } from 'node:timers/promises';
import { processConfig } from '../src/config.ts';
import { organizationOf } from '../src/launcher/banner.ts';
import { Client, type DeadLetter, type Event, type Sent } from './client.ts';
import { demoDeliveries } from './deliveries.ts';
import { showProgress } from './progress.ts';
import { report } from './report.ts';

const POLL_MS = 1000;
/** Three attempts with the default back-off take 30 s at most. */
const PATIENCE_MS = 120_000;

const config = processConfig('demo');
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
const client = new Client(config, process.env, stop.signal);

try {
  console.log(`Sending samples to ${client.base} for organization ${organizationOf(config)}\n`);
  const sent = await sendAll();
  await untilSettled(sent.flatMap(({ eventId }) => eventId ?? []));
  console.log(`\n${report(config, client, await explainFailure(sent.at(-1)))}`);
} catch (error) {
  process.exitCode = giveUp(error as Error);
}

/** One after the other, as Zoho Books would: the first failure ends the demo. */
async function sendAll(): Promise<Sent[]> {
  const sent: Sent[] = [];
  for (const delivery of demoDeliveries(organizationOf(config), new Date())) {
    const result = await client.send(delivery);
    console.log(`  ${result.title.padEnd(32)} ${result.outcome.padEnd(12)} ${result.eventId ?? ''}`.trimEnd());
    sent.push(result);
  }
  return sent;
}

/** Waits until each event is completed or dead, and says on a terminal how far they are. */
async function untilSettled(ids: string[]): Promise<void> {
  const begun = Date.now();
  const giveUpAt = begun + PATIENCE_MS;
  console.log('\nWaiting until each is completed or dead; the last one fails three times, about half a minute in all.');
  for (;;) {
    const events = (await client.recentEvents()).filter(({ id }) => ids.includes(id));
    const open = events.filter(({ status }) => status !== 'completed' && status !== 'dead_letter');
    showProgress(open.length === 0 ? '' : `${progress(open, events.length)} (${seconds(begun)} s)`);
    if (open.length === 0) return;
    if (Date.now() > giveUpAt)
      throw new Error(`${open.length} events still wait after two minutes: is a worker running?`);
    await sleep(POLL_MS, undefined, { signal: stop.signal });
  }
}

function progress(open: Event[], all: number): string {
  const waiting = open.find(({ status }) => status === 'retry');
  const failed = waiting && `${waiting.attempt_count} of ${config.maxAttempts} attempts`;
  const retry = failed ? `; one has failed ${failed} and will be tried again` : '';
  return `${all - open.length} of ${all} events are done${retry}`;
}

function seconds(since: number): number {
  return Math.round((Date.now() - since) / 1000);
}

/** Finds the dead letter of the event that fails, and says why there is none. */
async function explainFailure(failure: Sent | undefined): Promise<DeadLetter | undefined> {
  const letter = (await client.deadLetters()).find(({ event_id }) => event_id === failure?.eventId);
  console.log(
    letter
      ? `\nAll are processed; the last one failed three times and is a dead letter now: ${letter.last_error}`
      : '\nAll are processed; none failed, because the worker does not have the handlers of demo/handlers (HANDLERS_DIR).',
  );
  return letter;
}

/** Says what went wrong and returns the exit code. */
function giveUp(error: Error): number {
  showProgress('');
  if (stop.signal.aborted) {
    console.log('\nStopped. What was sent is processed all the same.');
    return 130; // as a shell reports a program that ended by SIGINT
  }
  const refused = error.message === 'fetch failed';
  console.error(refused ? `Nothing answers at ${client.base}: run npm start in another terminal.` : error.message);
  return 1;
}

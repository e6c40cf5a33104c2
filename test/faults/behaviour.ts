/** What the test handlers do with an event: misbehave as its payload says, and leave a row in two tables. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { TaggedError } from '../../src/errors.ts';
import type { HandlerContext, QueuedEvent } from '../../src/handlers/handler.ts';

export type Behaviour = {
  /** Waits before the first write, heeding the signal. */
  waitMs?: number;
  /** A file: waits until it exists, before the first write, heeding the signal. */
  gate?: string;
  /** The same after the writes, inside the transaction. */
  holdGate?: string;
  /** A file: blocks the whole event loop until it exists, like a long garbage collection. */
  blockGate?: string;
  /** Blocks the whole event loop for ever. */
  block?: boolean;
  /** Never returns. */
  hang?: boolean;
  /** Works on for ever and ignores the signal. */
  churn?: boolean;
  /** Ends the process as nothing in it can prevent: kill -9, or memory until the heap is full. */
  die?: 'kill' | 'memory';
  /** Fails after its writes, in this way: in the first so many attempts, or each time with this probability. */
  fail?: { how: 'transient' | 'permanent' | 'statement'; attempts?: number; probability?: number };
  /**
   * Updates these two rows of fault_rows, in this order. In between it waits until somebody has updated the second one:
   * who has a row writes a file whose name begins with `traces`.
   */
  lock?: { rows: [number, number]; traces: string };
  /** The first three calls of all fail with a serialization failure: nobody loses five times in a row, which is charged. */
  serialization?: boolean;
  /** Calls this URL with the signal. */
  fetch?: string;
};

const POLL_MS = 10;

type Payload = { fault_key: string; fault?: Behaviour };

/** The tables of the handler. `fault_log` has no constraint: what is applied twice shows there. */
export const EFFECT_TABLES = `
create table fault_effects (event_id uuid not null, effect_key text not null, unique (event_id, effect_key));
create table fault_log (seq bigint generated always as identity, event_id uuid not null, effect_key text not null,
  entity_id text, arrival bigint not null, attempt int not null, pid int not null, at timestamptz default clock_timestamp());
create table fault_rows (id int primary key, value bigint not null default 0);
insert into fault_rows select generate_series(1, 2);
create sequence fault_calls;
create function fault_serialization() returns void language plpgsql as $$
begin
  if nextval('fault_calls') <= 3 then raise exception 'made up' using errcode = '40001'; end if;
end $$`;

/** The handler of both files in handlers/, which differ in their time-out. */
export async function behave(event: QueuedEvent, context: HandlerContext): Promise<void> {
  const { fault_key: key, fault = {} } = event.payload as Payload;
  await before(fault, context.signal);
  await leaveEffect(event, key, context);
  await after(fault, context);
  await failAsAsked(event, fault, context);
}

async function before(fault: Behaviour, signal: AbortSignal): Promise<void> {
  if (fault.waitMs) await sleep(fault.waitMs, undefined, { signal });
  if (fault.gate) await opened(fault.gate, signal);
  if (fault.blockGate) blockUntilOpened(fault.blockGate);
  if (fault.block) for (;;);
  if (fault.hang) await new Promise(() => undefined);
  if (fault.churn) await churn();
  if (fault.die === 'kill') spawnSync('/bin/sh', ['-c', `kill -9 ${process.pid}`]);
  if (fault.die === 'memory') fillHeap();
  if (fault.fetch) await callUpstream(fault.fetch, signal);
}

async function leaveEffect(event: QueuedEvent, key: string, { trx }: HandlerContext): Promise<void> {
  await sql`insert into fault_effects (event_id, effect_key) values (${event.id}, ${key})
    on conflict do nothing`.execute(trx);
  await sql`insert into fault_log (event_id, effect_key, entity_id, arrival, attempt, pid)
    values (${event.id}, ${key}, ${event.entityId}, ${event.arrival}, ${event.attempt}, ${process.pid})`.execute(trx);
}

async function after({ holdGate, lock, serialization }: Behaviour, { trx, signal }: HandlerContext): Promise<void> {
  if (holdGate) await opened(holdGate, signal);
  if (serialization) await sql`select fault_serialization()`.execute(trx);
  if (lock) await lockBoth(lock, trx, signal);
}

async function lockBoth(
  { rows, traces }: NonNullable<Behaviour['lock']>,
  trx: HandlerContext['trx'],
  signal: AbortSignal,
) {
  for (const id of rows) {
    await sql`update fault_rows set value = value + 1 where id = ${id}`.execute(trx);
    writeFileSync(`${traces}${id}`, '');
    await opened(`${traces}${rows[1]}`, signal);
  }
}

/** Asks for a file again and again: a condition that a test sets from outside, whatever dies meanwhile. */
async function opened(gate: string, signal: AbortSignal): Promise<void> {
  while (!existsSync(gate)) await sleep(POLL_MS, undefined, { signal });
}

function blockUntilOpened(gate: string): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(gate)) Atomics.wait(cell, 0, 0, POLL_MS);
}

async function churn(): Promise<never> {
  for (;;) await sleep(POLL_MS);
}

async function failAsAsked(event: QueuedEvent, { fail }: Behaviour, { trx }: HandlerContext): Promise<void> {
  if (!fail) return;
  const { how, attempts = 0, probability = 0 } = fail;
  if (event.attempt > attempts && Math.random() >= probability) return;
  if (how === 'statement') await sql`select 1 / 0`.execute(trx);
  if (how === 'permanent') throw new TaggedError('ValidationError', 'refused on purpose', { permanent: true });
  throw new Error('failed on purpose');
}

function fillHeap(): void {
  const hoard: number[][] = [];
  for (;;) hoard.push(new Array(100_000).fill(Math.random()));
}

async function callUpstream(url: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(url, { signal });
  if (response.status === 429) {
    const retryAfterSeconds = Number(response.headers.get('retry-after'));
    throw new TaggedError('RateLimitError', 'upstream wants us to wait', { retryAfterSeconds });
  }
  if (!response.ok) throw Object.assign(new Error(`upstream answered ${response.status}`), { status: response.status });
}

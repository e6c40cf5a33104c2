/**
 * `npm run test:faults -- [--seed 7 | --seed 1..200] [--minutes M] [--only F01,F16]
 * [--title 'in sets$']`: injects faults again and again and prints a table, fault by fault. The seed decides what is chosen and when; how the operating system schedules
 * the processes it cannot. Exit code 1 when an invariant was broken or a fault did not really happen.
 */
import { parseArgs } from 'node:util';
import { FAULTS } from './catalogue.ts';
import { Cluster } from './cluster.ts';
import { type Fault, type Round, runRound } from './fault.ts';
import { World } from './world.ts';

type Result = { fault: Fault; rounds: Round[]; failures: string[]; skipped?: string | undefined };

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    only: { type: 'string' },
    title: { type: 'string', default: '' },
    'stop-at-first-failure': { type: 'boolean', default: false },
  },
});

const chosen = FAULTS.filter(
  ({ id, title }) => (!values.only || values.only.split(',').includes(id)) && new RegExp(values.title).test(title),
);
const seeds = readSeeds(values.seed);
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
console.log(`seed ${values.seed}, ${chosen.length} faults${minutes ? `, ${minutes} minutes each` : ''}`);

const results: Result[] = [];
for (const fault of chosen) {
  const result = await runFault(fault);
  results.push(result);
  if (values['stop-at-first-failure'] && result.failures.length > 0) break;
}
printTable(results);
process.exitCode = results.some(({ failures }) => failures.length > 0) ? 1 : 0;

/** All seeds, or with --minutes as many as fit, beginning with the first; a continuous fault lasts for as long. */
async function runFault(fault: Fault): Promise<Result> {
  const result: Result = { fault, rounds: [], failures: [], skipped: fault.unavailable?.() };
  if (result.skipped) return result;
  const cluster = await Cluster.create();
  try {
    const until = minutes === undefined ? 0 : Date.now() + minutes * 60_000;
    for (let seed = seeds.first; minutes === undefined ? seed <= seeds.last : Date.now() < until; seed += 1) {
      await attempt(result, cluster, seed);
      if (values['stop-at-first-failure'] && result.failures.length > 0) break;
      if (minutes !== undefined && fault.continuous) break;
    }
  } finally {
    await cluster.destroy();
  }
  return result;
}

/** Every round has a world of its own: what a round leaves behind must not help or harm the next. */
async function attempt({ fault, rounds, failures }: Result, cluster: Cluster, seed: number): Promise<void> {
  const world = await World.open(cluster, fault.world);
  if (minutes !== undefined) world.harmMs = minutes * 60_000;
  try {
    await world.start();
    const round = await runRound(world, fault, seed);
    rounds.push(round);
    console.log(`${fault.id} ${fault.title}, seed ${seed}: ok, ${round.events} events, ${round.recoveryMs} ms`);
    for (const note of world.notes) console.log(`  ${note}`);
  } catch (error) {
    failures.push(`seed ${seed}: ${(error as Error).message}`);
    console.log(`${fault.id} ${fault.title}, seed ${seed}: FAILED\n${(error as Error).stack}`);
  } finally {
    await world.close();
  }
}

function readSeeds(text: string): { first: number; last: number } {
  const [first = Number.NaN, last = first] = text.split('..').map(Number);
  if (!Number.isInteger(first) || !Number.isInteger(last)) throw new Error('--seed takes a number, or two as 1..200');
  return { first, last };
}

function printTable(all: Result[]): void {
  console.table(
    all.map(({ fault, rounds, failures, skipped }) => ({
      fault: fault.id,
      title: fault.title.slice(0, 48),
      runs: rounds.length + failures.length,
      events: sum(rounds, 'events'),
      acknowledged: sum(rounds, 'acknowledged'),
      done: sum(rounds, 'done'),
      dead: sum(rounds, 'dead'),
      quarantined: sum(rounds, 'quarantined'),
      lost: sum(rounds, 'lost'),
      twice: sum(rounds, 'twice'),
      rescued: sum(rounds, 'rescued'),
      stale: sum(rounds, 'staleRejected'),
      'recovery ms': Math.max(0, ...rounds.map((round) => round.recoveryMs)),
      verdict: skipped ? `skipped: ${skipped}` : failures.length > 0 ? `FAILED ${failures.length}` : 'passed',
    })),
  );
  for (const { fault, failures } of all) for (const failure of failures) console.log(`${fault.id} ${failure}`);
}

function sum(rounds: Round[], column: Exclude<keyof Round, 'seed'>): number {
  return rounds.reduce((total, round) => total + round[column], 0);
}

/** What the engine of workflows should do, in a page: runs, who holds them, and how far they are. */
import { MAX_CRASHES, type WorkflowStatus } from '../../src/workflows/state.ts';

export type ModelRun = {
  id: string;
  name: string;
  status: WorkflowStatus;
  /** The lease under which a worker has it in hand. */
  lease: string | null;
  worker: string | null;
  pages: number;
  crashes: number;
};

export type State = { runs: ModelRun[]; queuePaused: boolean };

/** An operation with the outcome that the engine gave it. */
export type Done =
  | { kind: 'start'; name: string; id: string; outcome: string }
  | { kind: 'claim'; worker: string; claimed: { id: string; lease: string } | null }
  /** `last`: it wrote when every operation that is not `last` was done. */
  | { kind: 'page'; id: string; lease: string; page: number; outcome: string; last: boolean }
  | { kind: 'complete' | 'fail' | 'give back'; id: string; lease: string; outcome: boolean }
  | { kind: 'pause' | 'resume' | 'retry' | 'terminate'; id: string; outcome: string }
  | { kind: 'rescue'; worker: string }
  | { kind: 'pause queue' | 'resume queue' };

const ACTIVE: WorkflowStatus[] = ['running', 'paused'];

/**
 * The state after an operation, or null when its outcome is not what it should be. `racing`: others ran at the same
 * time, so a claim may have passed over a row that one of them had locked.
 */
export function apply(state: State, done: Done, racing: boolean): State | null {
  const next = structuredClone(state);
  return step(next, done, racing) ? next : null;
}

function step(state: State, done: Done, racing: boolean): boolean {
  switch (done.kind) {
    case 'start':
      return start(state, done.name, done.id) === done.outcome;
    case 'claim':
      return claim(state, done, racing);
    case 'page':
      return page(state, done) === done.outcome;
    case 'complete':
    case 'fail':
    case 'give back':
      return letGo(state, done) === done.outcome;
    case 'rescue':
      rescue(state, done.worker);
      return true;
    case 'pause queue':
    case 'resume queue':
      state.queuePaused = done.kind === 'pause queue';
      return true;
    default:
      return operate(state, done) === done.outcome;
  }
}

function find({ runs }: State, id: string): ModelRun {
  const run = runs.find((one) => one.id === id);
  if (!run) throw new Error(`the model has no run ${id}`);
  return run;
}

function isUnderWay({ runs }: State, name: string): boolean {
  return runs.some((run) => run.name === name && ACTIVE.includes(run.status));
}

function start(state: State, name: string, id: string): string {
  if (isUnderWay(state, name)) return 'conflict';
  state.runs.push({ id, name, status: 'running', lease: null, worker: null, pages: 0, crashes: 0 });
  return 'started';
}

function claim(state: State, { worker, claimed }: Done & { kind: 'claim' }, racing: boolean): boolean {
  const free = state.queuePaused
    ? []
    : state.runs.filter(({ status, lease }) => status === 'running' && lease === null);
  if (claimed === null) return free.length === 0 || racing;
  const run = free.find(({ id }) => id === claimed.id);
  if (!run) return false;
  Object.assign(run, { lease: claimed.lease, worker });
  return true;
}

function page(state: State, { id, lease, page: number }: Done & { kind: 'page' }): string {
  const run = find(state, id);
  if (run.lease !== lease) return run.status === 'terminated' ? 'terminated' : 'lease_lost';
  if (run.status !== 'running') return run.status;
  if (state.queuePaused) return 'queue_paused';
  if (number !== run.pages + 1) return `page ${number} after page ${run.pages}`;
  Object.assign(run, { pages: number, crashes: 0 });
  return 'written';
}

function letGo(state: State, { kind, id, lease }: Done & { kind: 'complete' | 'fail' | 'give back' }): boolean {
  const run = find(state, id);
  if (run.lease !== lease || (kind !== 'give back' && run.status !== 'running')) return false;
  Object.assign(run, { lease: null, worker: null });
  if (kind !== 'give back') run.status = kind === 'complete' ? 'completed' : 'failed';
  return true;
}

function operate(state: State, { kind, id }: { kind: string; id: string }): string {
  const run = find(state, id);
  const was = run.status;
  if (kind === 'pause' && was === 'running') run.status = 'paused';
  else if (kind === 'resume' && was === 'paused') run.status = 'running';
  else if (kind === 'terminate' && [...ACTIVE, 'failed'].includes(was)) run.status = 'terminated';
  else if (kind === 'retry' && was === 'failed' && !isUnderWay(state, run.name))
    Object.assign(run, { status: 'running', crashes: 0 });
  else return 'conflict';
  return 'done';
}

function rescue({ runs }: State, worker: string): void {
  for (const run of runs.filter((one) => one.worker === worker)) {
    const crashes = run.crashes + 1;
    const failed = run.status === 'running' && crashes >= MAX_CRASHES;
    Object.assign(run, { lease: null, worker: null, crashes, status: failed ? 'failed' : run.status });
  }
}

function isLast(done: Done): boolean {
  return 'last' in done && done.last;
}

/** The end of an order of these operations in which each had its outcome, or null when there is none that leads to `end`. */
export function explains(state: State, done: Done[], end: (state: State) => boolean, racing = false): State | null {
  if (done.length === 0) return end(state) ? state : null;
  for (const [at, first] of done.entries()) {
    if (isLast(first) && !done.every(isLast)) continue;
    const next = apply(state, first, racing);
    const found = next && explains(next, done.toSpliced(at, 1), end, racing);
    if (found) return found;
  }
  return null;
}

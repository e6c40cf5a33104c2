import { isDatabaseAway } from '../errors.ts';
import { ActiveRun, type RunContext, runLog } from './active-run.ts';
import { completedOutputs } from './claim.ts';
import { type Failure, failureOf, isOwnDatabaseAway } from './failure.ts';
import { completeRun, failRun, giveBack } from './finish.ts';
import type { HeldRun } from './held.ts';
import { remember } from './history.ts';
import { ActivitiesFailed, type Json, Postponed, Stopped, type WorkflowDefinition } from './workflow.ts';

/** How a worker's hold on a run ended. `left`: the database was away, and the sweep gives the run back later. */
export type RunEnd = 'completed' | 'failed' | 'postponed' | 'stopped' | 'left';

/**
 * Executes a claimed run from where it stands until it ends, has to wait or is stopped by `signal`, and writes down
 * what became of it. Never throws.
 */
export async function executeRun(
  context: RunContext,
  definition: WorkflowDefinition,
  held: HeldRun,
  signal: AbortSignal,
): Promise<RunEnd> {
  const log = runLog(context.log, held);
  const startedAt = performance.now();
  try {
    const outputs = await completedOutputs(context.db, held);
    log.info({ activities_completed: outputs.size }, outputs.size > 0 ? 'workflow goes on' : 'workflow begins');
    const run = new ActiveRun(context, held, outputs, signal);
    const end = await settle(context, held, await attempt(definition, run));
    const duration_ms = Math.round(performance.now() - startedAt);
    tell(log, end, { duration_ms, ...run.progress });
    return end.kind;
  } catch (error) {
    // Nothing can be written: the lease stays until the sweep finds a run that nobody works on.
    if (!isDatabaseAway(error)) log.warn({ error }, 'the end of a workflow could not be written');
    return 'left';
  }
}

type Ending =
  | { kind: 'completed'; result: Json }
  | { kind: 'failed'; failure: Failure; activities?: readonly string[] }
  | { kind: 'postponed'; seconds: number; reason: string }
  | { kind: 'stopped'; why: Stopped['why'] };

async function attempt(definition: WorkflowDefinition, run: ActiveRun): Promise<Ending> {
  try {
    return { kind: 'completed', result: (await definition.run(run)) ?? null };
  } catch (error) {
    const thrown = run.signal.aborted ? run.signal.reason : error;
    if (thrown instanceof Postponed) return { kind: 'postponed', seconds: thrown.seconds, reason: thrown.message };
    if (thrown instanceof Stopped) return { kind: 'stopped', why: thrown.why };
    if (isOwnDatabaseAway(thrown)) throw thrown;
    const activities = thrown instanceof ActivitiesFailed ? thrown.activities : [];
    return { kind: 'failed', failure: failureOf(thrown), activities };
  }
}

/** Writes the end; what was paused or terminated meanwhile is only let go. */
async function settle(context: RunContext, held: HeldRun, ending: Ending): Promise<Ending> {
  const { db } = context;
  if (ending.kind === 'completed') return complete(context, held, ending);
  if (ending.kind === 'failed' && (await failRun(db, held, ending.failure, ending.activities))) return ending;
  if (ending.kind === 'postponed') return postpone(db, held, ending);
  await giveBack(db, held, { seconds: 0, waitsFor: null });
  return ending.kind === 'stopped' ? ending : { kind: 'stopped', why: 'lease_lost' };
}

/** A result that PostgreSQL does not take (too large, a NUL in it) fails the run. */
async function complete(context: RunContext, held: HeldRun, ending: Ending & { kind: 'completed' }): Promise<Ending> {
  try {
    if (await completeRun(context.db, held, ending.result)) return ending;
    return settle(context, held, { kind: 'stopped', why: 'lease_lost' });
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    return settle(context, held, { kind: 'failed', failure: failureOf(error) });
  }
}

async function postpone(db: RunContext['db'], held: HeldRun, ending: Ending & { kind: 'postponed' }): Promise<Ending> {
  const { seconds, reason } = ending;
  const message = `waits ${Math.round(seconds)} s: ${reason}`;
  await remember(db, { workflowId: held.id, workerId: held.workerId, message });
  await giveBack(db, held, { seconds, waitsFor: reason });
  return ending;
}

function tell(log: RunContext['log'], ending: Ending, facts: Record<string, unknown>): void {
  if (ending.kind === 'failed') {
    const { message, tag, cause } = ending.failure;
    log.error({ ...facts, error_tag: tag, error_message: message, causes: cause }, 'workflow failed');
  } else if (ending.kind === 'postponed') {
    log.info({ ...facts, seconds: ending.seconds, reason: ending.reason }, 'workflow waits');
  } else if (ending.kind === 'stopped') {
    log.info({ ...facts, reason: ending.why }, 'workflow given back');
  } else log.info(facts, 'workflow completed');
}

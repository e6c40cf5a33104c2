import { Type } from 'typebox';
import { act } from '../../monitor/audit.ts';
import { pauseState } from '../../queue/pause.ts';
import { countPending, processPending } from '../../queue/process-pending.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { DryRun } from '../schemas.ts';

const Processed = Type.Object({
  success: Type.Literal(true),
  message: Type.String({ description: 'What was done, and what else it takes.' }),
  events: Type.Integer({ description: 'That waited for their next attempt.', examples: [10] }),
});

/** `POST /api/jobs/process-pending`: what waits for its next attempt runs now. */
export function jobRoutes(api: Api, { db, pool }: Deps): void {
  const action = 'queue.process_pending';
  const summary = 'Let everything that waits for its next attempt run now';
  const schema = { tags: ['interventions'], summary, querystring: DryRun, response: { 200: Processed } };

  api.post('/api/jobs/process-pending', { config: { role: 'operator', action }, schema }, async (request) => {
    const paused = (await pauseState(db)).paused ? ' The queue is paused: they run when it is resumed.' : '';
    if (request.query.dry_run) {
      const events = await countPending(pool);
      return { success: true as const, message: `${events} events would run now.${paused}`, events };
    }
    const events = await processPending(pool);
    // Written afterwards: it runs in many transactions, and how many events there were is worth keeping.
    await act(db, actorOf(request), {
      ...{ action, target: null, detail: { events }, stands: ['done'] },
      run: async () => ({ outcome: 'done' }),
    });
    return { success: true as const, message: `${events} events run now.${paused}`, events };
  });
}

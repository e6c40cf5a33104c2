import { Type } from 'typebox';
import { acknowledgeAlert } from '../../monitor/alerts/acknowledge.ts';
import { act } from '../../monitor/audit.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { IdParams } from '../schemas.ts';

const Acknowledged = Type.Object({ success: Type.Literal(true), message: Type.Literal('Alert acknowledged') });

/** Acknowledging twice is fine: the first acknowledgement stands, the second is only audited. */
export function alertRoutes(api: Api, { db }: Deps): void {
  const action = 'alert.acknowledge';
  const summary = 'Silence an alert until its condition clears or grows worse';
  const schema = { tags: ['dashboard'], summary, params: IdParams, response: { 200: Acknowledged } };

  api.post('/dashboard/alerts/:id/acknowledge', { config: { role: 'operator', action }, schema }, async (request) => {
    const actor = actorOf(request);
    const target = request.params.id;
    const { outcome } = await act(db, actor, {
      ...{ action, target },
      stands: ['acknowledged'],
      run: async (trx) => ({ outcome: await acknowledgeAlert(trx, target, actor.name) }),
    });
    if (outcome === 'not_found') throw notFound('alert', 'Firing alerts are listed at dashboard/metrics.');
    if (outcome === 'resolved') throw alreadyResolved();
    return { success: true as const, message: 'Alert acknowledged' as const };
  });
}

function alreadyResolved(): Problem {
  return new Problem(409, 'alert_resolved', 'This alert has resolved by itself: there is nothing to acknowledge.');
}

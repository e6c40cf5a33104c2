import { Type } from 'typebox';
import { acknowledgeAlert } from '../../monitor/alerts/acknowledge.ts';
import { ALERT_STATES, type AlertState, listAlerts } from '../../monitor/alerts/history.ts';
import { act } from '../../monitor/audit.ts';
import { allChannels } from '../../monitor/notify/outgoing.ts';
import { queueTest } from '../../monitor/notify/test-notification.ts';
import { decodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { pageHeaders } from '../page-headers.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { IdParams, Nullable, Page, Time, Uuid } from '../schemas.ts';

const Acknowledged = Type.Object({ success: Type.Literal(true), message: Type.Literal('Alert acknowledged') });

const Note = Type.Union([
  Type.Object({
    note: Type.Optional(Type.String({ maxLength: 1000, description: 'What you know about it or do about it.' })),
  }),
  Type.Null(),
]);

const Alerts = Type.Array(
  Type.Object({
    id: Uuid,
    state: Type.String({ enum: [...ALERT_STATES] }),
    rule: Type.String({ examples: ['queue_backlog_warning'] }),
    labels: Type.Record(Type.String(), Type.String(), { description: 'What it fires for; empty: the whole system.' }),
    title: Type.String(),
    severity: Type.String({ enum: ['critical', 'warning', 'info'] }),
    message: Type.String(),
    value: Nullable(Type.Number()),
    threshold: Nullable(Type.Number()),
    since: Time,
    last_seen_at: Time,
    acknowledged_at: Nullable(Time),
    acknowledged_by: Nullable(Type.String()),
    acknowledgement_note: Nullable(Type.String()),
    resolved_at: Nullable(Time),
    flapping: Type.Boolean({ description: 'Came and went: it ends only after ten calm minutes.' }),
    likely_cause: Type.String(),
    runbook_step: Type.String(),
    runbook: Type.String({ examples: ['docs/runbook.md#no_worker'] }),
  }),
);

const Tested = Type.Object({
  success: Type.Literal(true),
  message: Type.String(),
  channels: Type.Array(Type.String({ examples: ['alerts'] }), { description: 'Where it is being sent.' }),
});

/** The incidents, and what operators do about them. */
export function alertRoutes(api: Api, deps: Deps): void {
  listRoute(api, deps);
  acknowledgeRoute(api, deps);
  testRoute(api, deps);
}

function listRoute(api: Api, { db }: Deps): void {
  const summary = 'Alerts and their history, latest first; pending ones stand before them on the first page';
  const state = Type.Optional(Type.String({ enum: [...ALERT_STATES], description: 'Only those.' }));
  const querystring = Type.Object({ ...Page, state });
  const schema = { tags: ['dashboard'], summary, querystring, response: { 200: Alerts } };

  api.get('/dashboard/alerts', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { limit, cursor, state } = request.query;
    const after = decodeCursor('alerts', cursor);
    const { alerts, next, total } = await listAlerts(db, { limit, after, state: state as AlertState | undefined });
    reply.headers(pageHeaders('alerts', next, total));
    return alerts;
  });
}

/** Acknowledging twice is fine: the first acknowledgement stands, the second is only audited. */
function acknowledgeRoute(api: Api, { db }: Deps): void {
  const action = 'alert.acknowledge';
  const summary = 'Silence an alert until its condition clears or grows worse';
  const schema = { tags: ['dashboard'], summary, params: IdParams, body: Note, response: { 200: Acknowledged } };

  api.post('/dashboard/alerts/:id/acknowledge', { config: { role: 'operator', action }, schema }, async (request) => {
    const actor = actorOf(request);
    const target = request.params.id;
    const note = request.body?.note?.trim() || null;
    const { outcome } = await act(db, actor, {
      ...{ action, target, ...(note ? { detail: { note } } : {}) },
      stands: ['acknowledged'],
      run: async (trx) => ({ outcome: await acknowledgeAlert(trx, target, actor.name, note) }),
    });
    if (outcome === 'not_found') throw notFound('alert', 'Firing alerts are listed at dashboard/metrics.');
    if (outcome === 'resolved') throw alreadyResolved();
    return { success: true as const, message: 'Alert acknowledged' as const };
  });
}

function testRoute(api: Api, { db, config }: Deps): void {
  const action = 'alert.test';
  const summary = 'Send a test notification to every receiver that is set up';
  const schema = { tags: ['dashboard'], summary, response: { 200: Tested } };

  api.post('/dashboard/alerts/test', { config: { role: 'operator', action }, schema }, async (request) => {
    const actor = actorOf(request);
    const channels = allChannels(config);
    if (channels.length === 0) throw nobodyToTell();
    await act(db, actor, {
      ...{ action, target: null, detail: { channels } },
      stands: ['queued'],
      run: async (trx) => {
        await queueTest(trx, actor.name);
        return { outcome: 'queued' as const };
      },
    });
    return { success: true as const, message: 'Test notification queued', channels };
  });
}

function alreadyResolved(): Problem {
  return new Problem(409, 'alert_resolved', 'This alert has resolved by itself: there is nothing to acknowledge.');
}

function nobodyToTell(): Problem {
  const detail = 'No receiver is set up: set ALERT_WEBHOOK_URL, LIFECYCLE_WEBHOOK_URL or ALERT_SMTP_URL and restart.';
  return new Problem(409, 'no_receiver', detail);
}

import { Type } from 'typebox';
import { type Health, PATIENCE_MS, within } from '../../monitor/health.ts';
import { aliveWorkers } from '../../monitor/workers.ts';
import { type PauseState, pauseState } from '../../queue/pause.ts';
import { VERSION } from '../../version.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Time } from '../schemas.ts';

const Healthy = Type.Object({
  status: Type.Literal('healthy'),
  app_name: Type.Literal('TDS_Core'),
  version: Type.String({ examples: ['1.0.0'] }),
  timestamp: Time,
});

export const Dependency = Type.Object({
  name: Type.String({ examples: ['postgresql'] }),
  status: Type.Union([Type.Literal('up'), Type.Literal('down')]),
  latency_ms: Type.Number({ examples: [1.4] }),
  advice: Type.Optional(Type.String({ description: 'What to do, where that is known.' })),
});

const Readiness = Type.Object({
  status: Type.Union([Type.Literal('ready'), Type.Literal('not_ready')]),
  timestamp: Time,
  dependencies: Type.Array(Dependency),
  workers: Type.Optional(Type.Object({ alive: Nullable(Type.Integer({ description: 'null: unknown.' })) })),
  // By whom and why stands in the metrics: this is open to everybody.
  queue: Type.Optional(
    Nullable(
      Type.Object({ paused: Type.Boolean(), paused_at: Nullable(Time), event_types: Type.Array(Type.String()) }),
    ),
  ),
});

/** Open to everybody, as load balancers and uptime monitors carry no token: they say no more than up or down. */
export function healthRoutes(api: Api, { db }: Deps, health: Health): void {
  const config = { role: 'public' } as const;
  const tags = ['health'];

  api.get(
    '/health',
    { config, schema: { tags, summary: 'Is the process up?', response: { 200: Healthy } } },
    async () => ({
      status: 'healthy' as const,
      app_name: 'TDS_Core' as const,
      version: VERSION,
      timestamp: new Date().toISOString(),
    }),
  );

  const Alive = Type.Object({ status: Type.Literal('alive') });
  api.get(
    '/livez',
    { config, schema: { tags, summary: 'Does it answer? Never touches the database', response: { 200: Alive } } },
    async () => ({ status: 'alive' as const }),
  );

  const summary = 'Can it do its work? Names each dependency; 503 when one is down';
  const querystring = Type.Object({
    verbose: Type.Optional(Type.String({ description: 'Adds the workers, and whether the queue is paused.' })),
  });
  api.get(
    '/readyz',
    { config, schema: { tags, summary, querystring, response: { 200: Readiness, 503: Readiness } } },
    async (request, reply) => {
      // At once, so that both together take no longer than either may.
      const verbose = request.query.verbose !== undefined;
      const [dependencies, beyond] = await Promise.all([health.check(), verbose ? beyondReadiness(db) : {}]);
      const ready = dependencies.every(({ status }) => status === 'up');
      return reply.code(ready ? 200 : 503).send({
        status: ready ? 'ready' : 'not_ready',
        timestamp: new Date().toISOString(),
        dependencies,
        // The API is ready without a worker: it accepts webhooks. This only says so.
        ...(ready ? beyond : {}),
      });
    },
  );
}

/** What may keep events waiting although the API is ready. Null: could not be found out. */
async function beyondReadiness(db: Deps['db']) {
  const [alive = null, queue = null] = await Promise.all([
    within(PATIENCE_MS, aliveWorkers(db)),
    within(PATIENCE_MS, pauseState(db)),
  ]);
  return { workers: { alive }, queue: queue && shown(queue) };
}

/** Neither by whom nor why: it is open to everybody. */
function shown({ paused, paused_at, event_types }: PauseState) {
  return { paused, paused_at, event_types: event_types.map(({ event_type }) => event_type) };
}

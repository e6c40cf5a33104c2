import { Type } from 'typebox';
import type { CounterWriter } from '../../monitor/prometheus/counter-writer.ts';
import { CONTENT_TYPE, prometheusText } from '../../monitor/prometheus/exposition.ts';
import type { Api, Deps } from '../deps.ts';

/** For Prometheus: cheap at any size of the queue, and the same from every API of an installation. */
export function prometheusRoutes(api: Api, { db }: Deps, counters: CounterWriter | undefined): void {
  const summary = 'All metrics in the text format of Prometheus';
  const description = 'Also for METRICS_TOKEN. While the database is away: 200 with tds_database_up 0.';
  const text = { description: 'Text format 0.0.4', content: { 'text/plain': { schema: Type.String() } } };

  api.get(
    '/metrics',
    {
      config: { role: 'viewer', scrape: true },
      schema: { tags: ['dashboard'], summary, description, response: { 200: text } },
    },
    async (_request, reply) => {
      const answer = await prometheusText(db, async () => counters?.write());
      return reply.type(CONTENT_TYPE).serializer(String).send(answer);
    },
  );
}

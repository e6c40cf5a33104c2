/** A receiver of OTLP over HTTP on loopback: what a collector would be told. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Teardown, waitFor } from './helper.ts';

export type ReceivedSpan = {
  service: string;
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  kind: number;
  attributes: Record<string, string | number | boolean>;
  links: { traceId: string; spanId: string }[];
  status: { code?: number };
};

type Value = { stringValue?: string; intValue?: number; doubleValue?: number; boolValue?: boolean };
type KeyValue = { key: string; value: Value };

export class Collector {
  readonly spans: ReceivedSpan[] = [];
  /** Everything it was sent, as text. */
  text = '';
  endpoint = '';

  static async start(t: Teardown): Promise<Collector> {
    const collector = new Collector();
    const server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request.setEncoding('utf8')) body += chunk;
      collector.#take(body);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close().closeAllConnections());
    collector.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return collector;
  }

  /** Waits for a span. */
  find(what: string, wanted: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
    return waitFor(`the span ${what}`, async () => this.spans.find(wanted), 30_000);
  }

  /** The span and its ancestors, the first one last, as their names. */
  pathOf(span: ReceivedSpan): string[] {
    const parent = this.spans.find(({ traceId, spanId }) => traceId === span.traceId && spanId === span.parentSpanId);
    return [`${span.service}: ${span.name}`, ...(parent ? this.pathOf(parent) : [])];
  }

  #take(body: string): void {
    this.text += body;
    for (const { resource, scopeSpans } of JSON.parse(body).resourceSpans) {
      const service = String(plain(resource.attributes)['service.name']);
      for (const { spans } of scopeSpans)
        for (const span of spans)
          this.spans.push({ links: [], status: {}, ...span, attributes: plain(span.attributes ?? []), service });
    }
  }
}

function plain(attributes: KeyValue[]): ReceivedSpan['attributes'] {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.boolValue ?? Number(value.intValue ?? value.doubleValue),
    ]),
  );
}

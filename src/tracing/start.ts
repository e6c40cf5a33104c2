import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Part } from '../shutdown.ts';
import { traceWith } from '../tracing.ts';

type TracingConfig = Pick<Config, 'otelEndpoint' | 'otelHeaders' | 'otelShare'>;

/** What is still to be sent when a process stops may hold up its end for this long. */
const LAST_SPANS_MS = 1000;
const FAILURE_LINE_MS = 60_000;

/**
 * Switches tracing on when OTEL_EXPORTER_OTLP_ENDPOINT is set; otherwise nothing of OpenTelemetry is loaded. Call it
 * before anything is traced; the part it returns sends what is left at the end, so it stops last.
 */
export async function startTracing(
  { otelEndpoint: endpoint, otelHeaders: headers, otelShare: share }: TracingConfig,
  service: string,
  log: Logger,
): Promise<Part> {
  const name = 'tracing';
  if (endpoint === undefined) return { name };
  const { openTelemetry } = await import('./opentelemetry.ts');
  const recorder = openTelemetry({ service, endpoint, headers, share, onFailure: failureLine(log) });
  traceWith(recorder);
  return {
    name,
    async stop() {
      traceWith(undefined);
      await Promise.race([recorder.close().catch(() => {}), sleep(LAST_SPANS_MS, undefined, { ref: false })]);
    },
  };
}

/** A collector that is away is a line a minute; it says nothing of the spans, which are gone. */
function failureLine(log: Logger): () => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - toldAt < FAILURE_LINE_MS) return;
    toldAt = performance.now();
    log.warn({ component: 'tracing' }, 'spans could not be delivered: look at the collector');
  };
}

/** The one file that imports OpenTelemetry. */
import {
  type Context,
  context,
  DiagLogLevel,
  diag,
  type Link,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Attributes, Span, SpanOptions, Tracer } from '../tracing.ts';
import { VERSION } from '../version.ts';

export type ExportOptions = {
  service: string;
  /** OTEL_EXPORTER_OTLP_ENDPOINT, without the path of a signal. */
  endpoint: string;
  headers: Record<string, string>;
  /** Share of the traces that are kept, 0 to 1. */
  share: number;
  /** Told when spans could not be delivered. */
  onFailure(message: string): void;
};

export type Recorder = Tracer & { close(): Promise<void> };

const EXPORT_TIMEOUT_MS = 5000;
/** Spans that do not fit the queue are dropped: a collector that is away costs its memory and nothing else. */
const BATCHES = { scheduledDelayMillis: 1000, exportTimeoutMillis: EXPORT_TIMEOUT_MS, maxQueueSize: 4096 };
const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

/**
 * Records spans and sends them in batches, in the background. Registered with OpenTelemetry's API, so that a handler
 * which uses that API gets spans of its own within ours.
 */
export function openTelemetry({ service, endpoint, headers, share, onFailure }: ExportOptions): Recorder {
  const silent = () => {};
  diag.setLogger(
    { error: onFailure, warn: silent, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
  const url = `${endpoint.replace(/\/$/, '')}/v1/traces`;
  const exporter = new OTLPTraceExporter({ url, headers, timeoutMillis: EXPORT_TIMEOUT_MS });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.version': VERSION }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) }),
    spanProcessors: [new BatchSpanProcessor({ exporter, ...BATCHES })],
  });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const tracer = provider.getTracer('tds-core', VERSION);
  return {
    start: (name, options) => wrap(start(tracer, name, options)),
    current() {
      const span = trace.getActiveSpan();
      return span && wrap(span);
    },
    async close() {
      await provider.shutdown();
    },
  };
}

function start(tracer: OtelTracer, name: string, options: SpanOptions): OtelSpan {
  const { kind, attributes = {}, parent, links = [], startedAt } = options;
  return tracer.startSpan(
    name,
    {
      ...(kind && { kind: KINDS[kind] }),
      ...(startedAt && { startTime: startedAt }),
      attributes,
      links: links.flatMap(linkTo),
    },
    parent === undefined ? context.active() : contextOf(parent),
  );
}

function linkTo(traceparent: string): Link[] {
  const spanContext = parse(traceparent);
  return spanContext ? [{ context: spanContext }] : [];
}

function contextOf(traceparent: string | null): Context {
  const spanContext = traceparent === null ? undefined : parse(traceparent);
  return spanContext ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

function wrap(span: OtelSpan): Span {
  const spanContext = span.spanContext();
  return {
    traceparent: format(spanContext),
    traceId: spanContext.traceId,
    set(attributes: Attributes) {
      span.setAttributes(attributes);
    },
    fail(errorTag) {
      span.setAttribute('error.type', errorTag).setStatus({ code: SpanStatusCode.ERROR });
    },
    end() {
      span.end();
    },
    run: (work) => context.with(trace.setSpan(context.active(), span), work),
  };
}

function format({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** Undefined for a text that is no traceparent: a span then begins a trace of its own. */
function parse(traceparent: string): SpanContext | undefined {
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent) ?? [];
  if (!traceId || !spanId || !flags) return undefined;
  return { traceId, spanId, isRemote: true, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED };
}

/**
 * Spans, while tracing is on; while it is off each call is one comparison. Only `tracing/opentelemetry.ts` knows who
 * records them, and it is loaded only when OTEL_EXPORTER_OTLP_ENDPOINT is set.
 *
 * Names and attributes are texts of ours, ids and numbers: nothing of a record, of a body or of an error's message.
 */
import { classify } from './errors.ts';

export type Attributes = Record<string, string | number | boolean | undefined>;

export type SpanOptions = {
  kind?: 'server' | 'client' | 'producer' | 'consumer';
  attributes?: Attributes;
  /**
   * The span it belongs to, as a `traceparent` of W3C Trace Context; null: it begins a trace. Default: the one in whose
   * course it begins.
   */
  parent?: string | null;
  /** Spans of other traces that it has to do with, as `traceparent`. */
  links?: readonly string[];
  startedAt?: Date;
};

export type Span = {
  /** What another process needs to go on with the trace. */
  readonly traceparent: string;
  readonly traceId: string;
  set(attributes: Attributes): void;
  /** @param errorTag what kind of failure; an error's own text may hold people's data */
  fail(errorTag: string): void;
  end(): void;
  /** Runs `work` in the course of this span: spans that begin there belong to it. */
  run<T>(work: () => T): T;
};

export type Tracer = {
  start(name: string, options: SpanOptions): Span;
  /** The span in whose course the caller runs. */
  current(): Span | undefined;
};

let tracer: Tracer | undefined;

/** Switches tracing on, for this process; undefined switches it off. */
export function traceWith(chosen: Tracer | undefined): void {
  tracer = chosen;
}

export function isTracing(): boolean {
  return tracer !== undefined;
}

/** Begins a span that the caller ends; undefined while tracing is off. */
export function startSpan(name: string, options: SpanOptions = {}): Span | undefined {
  return tracer?.start(name, options);
}

/** The span in whose course the caller runs. */
export function currentSpan(): Span | undefined {
  return tracer?.current();
}

/** Runs `work` as a span, which fails when `work` does. */
export async function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span | undefined) => Promise<T>,
): Promise<T> {
  const span = startSpan(name, options);
  if (span === undefined) return work(undefined);
  try {
    return await span.run(() => work(span));
  } catch (error) {
    span.fail(tagOf(error));
    throw error;
  } finally {
    span.end();
  }
}

/** Runs `work` in the course of a span, if there is one. */
export function runIn<T>(span: Span | undefined, work: () => T): T {
  return span === undefined ? work() : span.run(work);
}

/** Of a revoked Proxy nothing can be asked. */
function tagOf(error: unknown): string {
  try {
    return classify(error).tag;
  } catch {
    return 'UnknownError';
  }
}

import type { QueuedEvent } from '../handlers/handler.ts';
import type { Transition } from '../queue/state.ts';
import { inSpan, isTracing, type Span, startSpan } from '../tracing.ts';

/** The spans of the attempts that are being made. */
const spans = new WeakMap<QueuedEvent, Span>();

/** A set of more links to no more of its events. */
const MAX_LINKS = 128;

/**
 * Runs an attempt at events as spans. Each event gets one of its own, in the trace of its delivery. What is done for one
 * event belongs to that; what is done once for a set belongs to a span of the set, in a trace of its own, with links in
 * both directions.
 */
export async function traceAttempts(events: QueuedEvent[], run: () => Promise<void>): Promise<void> {
  if (!isTracing()) return run();
  const [only] = events;
  if (only && events.length === 1) return traced([only], [], (span) => (span ? span.run(run) : run()));
  const links = events.flatMap(({ traceparent }) => traceparent ?? []).slice(0, MAX_LINKS);
  return inSpan('process set', { parent: null, links, attributes: { 'tds.events': events.length } }, (set) =>
    traced(events, set ? [set.traceparent] : [], run),
  );
}

/** Notes in an event's span what became of its attempt. */
export function noteEnd(event: QueuedEvent, { status, errorTag }: Transition): void {
  const span = spans.get(event);
  span?.set({ 'tds.status': status });
  if (errorTag !== null) span?.fail(errorTag);
}

async function traced(
  events: QueuedEvent[],
  links: string[],
  run: (first: Span | undefined) => Promise<void>,
): Promise<void> {
  const begun = events.map((event) => begin(event, links));
  try {
    await run(begun[0]);
  } finally {
    for (const span of begun) span?.end();
  }
}

function begin(event: QueuedEvent, links: string[]): Span | undefined {
  const { id, organizationId, eventType, entityId, attempt, releaseCount, receivedAt, traceparent: parent } = event;
  const attributes = {
    'tds.event_id': id,
    'tds.organization_id': organizationId,
    'tds.event_type': eventType,
    'tds.entity_id': entityId ?? undefined,
    'tds.attempt': attempt,
  };
  // Since when a later attempt has waited is not known here.
  if (parent !== null && attempt === 1 && releaseCount === 0)
    startSpan('queue', { parent, attributes, startedAt: past(receivedAt) })?.end();
  const span = startSpan('attempt', { kind: 'consumer', parent, links, attributes });
  if (span) spans.set(event, span);
  return span;
}

/** The database's clock may be ahead of ours. */
function past(time: Date): Date {
  return new Date(Math.min(time.getTime(), Date.now()));
}

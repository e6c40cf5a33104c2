/** What Sentry is told, as its documented event payload has it. Of an error there are kind and place, never people's data. */
import { randomUUID } from 'node:crypto';
import { classify } from '../../errors.ts';
import { VERSION } from '../../version.ts';

export type SentryEvent = {
  event_id: string;
  timestamp: string;
  level: 'error' | 'fatal';
  logger: string;
  fingerprint: string[];
  tags: Record<string, string>;
  extra: Record<string, string | number>;
  exception: { values: { type: string; value: string; stacktrace: { frames: Frame[] } }[] };
};

type Frame = { function: string; filename: string; lineno?: number; colno?: number };

export type Group = {
  fingerprint: string;
  error_tag: string;
  /** The template that all its messages have in common. */
  message: string;
  place: string;
  handler: string | null;
  state: string;
  failures: number;
  first_seen_at: Date;
  last_seen_at: Date;
  stack: string | null;
  /** The same for every try at telling this news. */
  report_id: string;
};

const FRAME =
  /^\s*at (?:(?:async )?([\w.<># [\]]{1,200}) \()?((?:file:\/\/|node:)?[^():\s]{1,500}):(\d{1,9}):(\d{1,9})\)?$/;
const MAX_FRAMES = 30;

/** A cause of failed attempts that is new, or has returned. */
export function groupEvent(group: Group): SentryEvent {
  const { fingerprint, error_tag, message, place, handler, state, failures, first_seen_at, last_seen_at } = group;
  const frames = framesOf(group.stack);
  return {
    event_id: group.report_id,
    timestamp: last_seen_at.toISOString(),
    level: 'error',
    logger: 'tds-core-worker',
    fingerprint: [fingerprint],
    tags: { error_tag, state, ...(handler !== null && { handler }) },
    extra: { failures, first_seen_at: first_seen_at.toISOString(), look: `/dashboard/errors/${fingerprint}` },
    exception: {
      values: [
        { type: error_tag, value: message, stacktrace: { frames: frames.length > 0 ? frames : [placeFrame(place)] } },
      ],
    },
  };
}

/** An error of a process; a fatal one ends it. Its message stays in the log of this machine: it may say anything. */
export function errorEvent(service: string, error: unknown, level: SentryEvent['level']): SentryEvent {
  const { causes, stack = null } = classify(error).detail;
  const [first] = causes;
  const [type, code] = [plain(first?.name) ?? 'Error', plain(first?.code)];
  const frames = framesOf(stack);
  return {
    event_id: randomUUID().replaceAll('-', ''),
    timestamp: new Date().toISOString(),
    level,
    logger: service,
    fingerprint: [service, type, code ?? '', frames.at(-1)?.function ?? '', frames.at(-1)?.filename ?? ''],
    tags: { service },
    extra: {},
    exception: {
      values: [{ type, value: code ?? `its message stands in the log of ${service}`, stacktrace: { frames } }],
    },
  };
}

/** An event in an envelope, by which Sentry takes it: three lines of JSON. */
export function envelopeOf(event: SentryEvent, environment: string): string {
  const payload = JSON.stringify({ ...event, platform: 'node', release: `tds-core@${VERSION}`, environment });
  const header = JSON.stringify({ event_id: event.event_id, sent_at: new Date().toISOString() });
  const item = JSON.stringify({
    type: 'event',
    content_type: 'application/json',
    length: Buffer.byteLength(payload),
  });
  return `${header}\n${item}\n${payload}\n`;
}

/** Of a stack its frames, the outermost first, as Sentry wants them; files by name only. */
function framesOf(stack: string | null): Frame[] {
  const lines = (stack ?? '').slice(0, 20_000).split('\n');
  const frames = lines.flatMap((line) => {
    const [, name, file, lineno, colno] = FRAME.exec(line.slice(0, 800)) ?? [];
    if (file === undefined) return [];
    const at = { lineno: Number(lineno), colno: Number(colno) };
    return [{ function: name ?? '?', filename: baseOf(file), ...at }];
  });
  return frames.slice(0, MAX_FRAMES).reverse();
}

function placeFrame(place: string): Frame {
  const begin = place.endsWith(')') ? place.lastIndexOf(' (') : -1;
  if (begin < 0) return { function: '?', filename: place };
  return { function: place.slice(0, begin), filename: place.slice(begin + 2, -1) };
}

function baseOf(file: string): string {
  return file.split(/[\\/]/).at(-1) ?? file;
}

/** A name or code as programs have them; anything else may be somebody's data. */
function plain(text: unknown): string | undefined {
  return typeof text === 'string' && /^[\w.]{1,64}$/.test(text) ? text : undefined;
}

/** Renders JSON log lines for people: `12:00:01 info  inbox webhook accepted event_id=… bytes=1234`. */

const MAX_VALUE = 200;
/** Levels whose stacks are worth the lines. */
const SERIOUS = new Set<unknown>(['error', 'fatal']);

/** One readable line (or several, for a stack) for one line of a process; what is no JSON log line stays as it is. */
export function renderLine(line: string): string {
  const entry = parse(line);
  if (!entry) return line;
  const { timestamp, level, component, message, metadata = {} } = entry;
  const time = String(timestamp).slice(11, 19);
  const fields = Object.entries(metadata).map(([key, value]) => `${key}=${printed(value)}`);
  const parts = [time, String(level).padEnd(5), component, message, ...fields];
  return (
    parts.filter((part) => part !== undefined && part !== '').join(' ') + (SERIOUS.has(level) ? stackOf(metadata) : '')
  );
}

type Entry = { timestamp: unknown; level: unknown; component?: string; message?: string; metadata?: object };

function parse(line: string): Entry | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry = JSON.parse(line);
    return 'timestamp' in entry && 'level' in entry ? entry : undefined;
  } catch {
    return undefined;
  }
}

function printed(value: unknown): string {
  const text = typeof value === 'string' ? quoted(value) : (messageOf(value) ?? JSON.stringify(value) ?? '');
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}

function quoted(text: string): string {
  return text === '' || /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}

function messageOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('message' in value)) return undefined;
  return quoted(String(value.message));
}

/** The frames of an error's stack below its line, indented; its first line repeats the message. */
function stackOf(metadata: object): string {
  const error = 'error' in metadata ? metadata.error : undefined;
  if (typeof error !== 'object' || error === null || !('stack' in error)) return '';
  const frames = String(error.stack).split('\n').slice(1);
  return frames.map((frame) => `\n    ${frame.trim()}`).join('');
}

/** Renders JSON log lines for people: `12:00:01 info  inbox webhook accepted event_id=… bytes=1234`. */

const MAX_VALUE = 200;
/** Levels whose stacks are worth the lines. */
const SERIOUS = new Set(['error', 'fatal']);

export type Rendered = { text: string; level?: string };

/** One readable line (or several, for a stack) for one line of a process; what is no JSON log line stays as it is. */
export function renderLine(line: string): Rendered {
  const entry = parse(line);
  if (!entry) return { text: line };
  const { timestamp, component, message, metadata = {} } = entry;
  const level = String(entry.level);
  const time = String(timestamp).slice(11, 19);
  const fields = Object.entries(metadata).flatMap(([key, value]) => field(key, value));
  const parts = [time, level.padEnd(5), component, message, ...fields];
  const text = parts.filter((part) => part !== undefined && part !== '').join(' ');
  return { text: harmless(text + details(level, metadata)), level };
}

/** Values come from strangers: what they could command the terminal with is shown, not sent. Line feeds are ours. */
function harmless(text: string): string {
  const code = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return text.replace(/(?!\n)[\p{Cc}\p{Cf}]/gu, code);
}

/** The settings are left out: `npm start` ends with those that matter. Problems stand below the line, each on its own. */
function field(key: string, value: unknown): string[] {
  return key === 'config' || key === 'problems' ? [] : [`${key}=${printed(value)}`];
}

function details(level: string, metadata: { problems?: unknown }): string {
  const { problems } = metadata;
  const list = Array.isArray(problems) ? problems.map((problem) => `\n    ${problem}`).join('') : '';
  return SERIOUS.has(level) ? list + stackOf(metadata) : list;
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

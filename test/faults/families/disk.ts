/** Disks that fill up: F26, F27. They need the right to mount a tmpfs. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { waitFor } from '../../helper.ts';
import { SmallDisk } from '../disk.ts';
import { delivery, type Fault, lasting } from '../fault.ts';
import type { Delivery } from '../sender.ts';
import type { World } from '../world.ts';

const TABLE = 'tds_inbox_payloads';

const dataDiskFull: Fault = {
  id: 'F26',
  title: 'the data disk is full',
  unavailable: SmallDisk.unavailable,
  load: bulkyLoad,
  spreadMs: 3000,
  async inject(world) {
    const disk = SmallDisk.mount(16);
    try {
      await moveTable(world, disk);
      disk.fill();
      await waitFor(
        'a delivery to be refused',
        () => world.sender.answers.some((answer) => answer.status === 503),
        30_000,
      );
      disk.free();
      await lasting(500);
      await moveTableBack(world);
    } finally {
      disk.unmount();
    }
  },
  proof: refusedWithRetryAfter,
};

const walDiskFull: Fault = {
  id: 'F27',
  title: 'the disk of the write-ahead log is full: PANIC',
  unavailable: SmallDisk.unavailable,
  load: bulkyLoad,
  spreadMs: 5000,
  async inject(world) {
    const { cluster } = world;
    const disk = SmallDisk.mount(96);
    try {
      await cluster.stop('fast');
      cluster.moveWal(disk.directory);
      await cluster.start();
      disk.fill();
      await useUpLog(world);
      await cluster.crashed();
      await lasting(1000);
      disk.free();
      await cluster.start();
      await cluster.stop('fast');
      cluster.takeWalBack();
      await cluster.start();
    } finally {
      disk.unmount();
    }
  },
  proof(world) {
    assert.ok(
      world.sender.answers.some((answer) => answer.status === 503),
      'I6: intake met the outage',
    );
    const dead = [...world.workers, ...world.apis].filter((child) => !child.running);
    assert.equal(dead.length, 0, 'no process died of it');
  },
};

export const disk: Fault[] = [dataDiskFull, walDiskFull];

/** Bodies that need new pages: what fits into old ones would not meet a full disk. */
function bulkyLoad(world: World): Delivery[] {
  const noise = () => Array.from({ length: 2000 }, () => world.random.next().toString(36).slice(2)).join('');
  return Array.from({ length: 60 }, () => delivery({ fields: { notes: noise() } }));
}

async function moveTable(world: World, disk: SmallDisk): Promise<void> {
  const directory = path.join(disk.directory, 'tablespace');
  fs.mkdirSync(directory);
  world.cluster.own(directory);
  fs.chmodSync(disk.directory, 0o755);
  await world.db.query(`create tablespace faults location '${directory}'`);
  await world.db.query(`alter table ${TABLE} set tablespace faults`);
}

async function moveTableBack(world: World): Promise<void> {
  await world.db.query(`alter table ${TABLE} set tablespace pg_default`);
  await world.db.query('drop tablespace faults');
}

/** Writes until the server needs a new segment of its log, which it cannot have. */
async function useUpLog(world: World): Promise<void> {
  const write = async () => {
    try {
      await world.db.query(`select pg_logical_emit_message(false, 'fill', repeat('x', 1000000))`);
      return false;
    } catch {
      return true;
    }
  };
  await waitFor('the log to be full', write);
}

function refusedWithRetryAfter(world: World): void {
  const refused = world.sender.answers.filter((answer) => answer.status === 503);
  assert.ok(refused.length > 0, 'I6: no delivery met the full disk');
  assert.ok(
    refused.every((answer) => answer.retryAfter),
    '503 says when to come again',
  );
}

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';

const ROOT = path.join(import.meta.dirname, '..');
const NODE = path.join(ROOT, 'bin/node');
const OLD_PATH = '/usr/bin:/bin';

t.test(
  'bin/node is the Node of this repository, whatever is first on the PATH and from wherever it is called',
  async (t) => {
    const elsewhere = mkdtempSync(path.join(tmpdir(), 'tds node-'));
    t.teardown(() => rmSync(elsewhere, { recursive: true }));
    symlinkSync(NODE, path.join(elsewhere, 'node'));
    for (const program of [NODE, path.join(elsewhere, 'node')]) {
      const script =
        'console.log(process.execPath, require("child_process").execSync("node -p process.execPath") + "")';
      const { stdout, stderr } = spawnSync('env', ['-i', `PATH=${OLD_PATH}`, program, '-e', script], {
        cwd: elsewhere,
        encoding: 'utf8',
      });
      t.equal(stderr, '');
      const paths = stdout
        .trim()
        .split(/\s+/)
        .map((one) => path.relative(ROOT, one));
      for (const one of paths) t.match(one, /^node_modules\/node-linux-(x64|arm64)\/bin\/node$/);
      t.equal(paths.length, 2, 'it and what it starts');
    }
  },
);

t.test('every npm script that runs a file of ours does so by bin/node', async (t) => {
  const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  for (const [name, command] of Object.entries<string>(scripts))
    if (/\.ts\b/.test(command)) t.match(command, /^exec bin\/node /, name);
});

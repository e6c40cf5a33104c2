/**
 * Builds tap's test class without its TypeScript plugin, which needs an API that TypeScript 7 lacks; Node runs our
 * files as they are. Takes about 10 s, once per installation or change of .taprc.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const STAMP = 'node_modules/.tap-built';

const inputs = ['.taprc', 'node_modules/tap/package.json'].map((file) => readFileSync(file, 'utf8'));
const wanted = createHash('sha256').update(inputs.join('\n')).digest('hex');
const built = existsSync(STAMP) ? readFileSync(STAMP, 'utf8') : '';

if (built !== wanted) {
  const { status } = spawnSync(process.execPath, ['node_modules/tap/dist/esm/run.mjs', 'build'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(STAMP, wanted);
}

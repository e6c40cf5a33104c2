import { spawnSync } from 'node:child_process';
import path from 'node:path';
import t from 'tap';
import { SETTINGS } from '../src/config.ts';

const ROOT = path.join(import.meta.dirname, '..');
const SCRIPTS = {
  start: 'src/start.ts',
  api: 'src/api/main.ts',
  worker: 'src/worker/main.ts',
  migrate: 'src/db/migrate.ts',
  demo: 'demo/main.ts',
};

function run(script: string, ...args: string[]) {
  return spawnSync(process.execPath, [path.join(ROOT, script), ...args], { encoding: 'utf8' });
}

for (const [name, script] of Object.entries(SCRIPTS)) {
  t.test(`npm run ${name} -- --help explains itself and does nothing`, async (t) => {
    const { status, stdout, stderr } = run(script, '--help');
    t.strictSame({ status, stderr }, { status: 0, stderr: '' });
    t.match(stdout, new RegExp(`^npm (run )?${name}: `));
    t.match(stdout, /^ {2}DATABASE_URL=\n {6}postgresql|^ {2}PORT=8000\n {6}Port of the API/m);
  });

  t.test(`npm run ${name} refuses an argument it does not know`, async (t) => {
    const { status, stderr } = run(script, '--port=80');
    t.equal(status, 64);
    t.match(stderr, '--port=80 is not understood');
  });
}

t.test('the help of npm start has every setting', async (t) => {
  const { stdout } = run(SCRIPTS.start, '-h');
  for (const { env } of Object.values(SETTINGS)) t.match(stdout, new RegExp(`^ {2}${env}=.*\\n {6}\\w`, 'm'), env);
});

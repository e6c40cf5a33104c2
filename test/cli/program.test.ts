import { spawnSync } from 'node:child_process';
import path from 'node:path';
import t from 'tap';

const ROOT = path.join(import.meta.dirname, '../..');

function tds(words: string[], env: Record<string, string> = {}) {
  const options = { encoding: 'utf8', env: { PATH: process.env.PATH, ...env } } as const;
  return spawnSync(path.join(ROOT, 'bin/tds'), words, options);
}

t.test('bin/tds is a command of its own', async (t) => {
  t.match(tds(['--help']), { status: 0, stdout: /^Usage: tds[\s\S]*dlq/, stderr: '' });
  t.match(tds(['config', 'show', '-o', 'json'], { TDS_TOKEN: 'secret-secret' }), {
    status: 0,
    stdout: /"TDS_TOKEN",\s+"value": true/,
  });
  t.match(tds(['nonsense']), { status: 2, stdout: '', stderr: /unknown command/ });
  t.match(tds(['config', 'show'], { TDS_TOKN: 'x' }), { status: 78, stdout: '', stderr: /did you mean TDS_TOKEN/ });
});

for (const shell of ['bash', 'zsh', 'fish']) {
  const missing = spawnSync(shell, ['--version']).error ? `${shell} is not installed` : false;
  t.test(`${shell} takes the completion`, { skip: missing }, async (t) => {
    const { stdout } = tds(['completion', shell]);
    const { status, stderr } = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
    t.match({ status, stderr }, { status: 0, stderr: '' });
  });
}

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { SETTINGS } from '../src/config.ts';

const ROOT = path.join(import.meta.dirname, '..');
const UNITS = path.join(ROOT, 'systemd');
const INSTALLED = '/opt/tds_core';

const names = fs.readdirSync(UNITS);
const services = names.filter((name) => name.endsWith('.service'));
const text = (name: string) => fs.readFileSync(path.join(UNITS, name), 'utf8');

/** The value of a directive; its last one when it stands there more than once. */
function directive(name: string, key: string): string | undefined {
  return [...text(name).matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].at(-1)?.[1];
}

t.test('the services have the names of the operations guide', async (t) => {
  t.same(services, ['tds-core-api.service', 'tds-core-migrate.service', 'tds-core-worker.service']);
});

for (const name of services) {
  t.test(`${name} starts a file of this repository with the Node of this repository`, async (t) => {
    const words = directive(name, 'ExecStart')?.split(' ') ?? [];
    const [node = '', script = ''] = words.filter((word) => !word.startsWith('--'));
    t.ok(fs.existsSync(node.replace(INSTALLED, ROOT)), node);
    t.ok(fs.existsSync(path.join(ROOT, script)), script);
    t.equal(directive(name, 'EnvironmentFile'), `${INSTALLED}/.env`);
  });

  t.test(`${name} names itself in the journal`, async (t) => {
    t.equal(directive(name, 'SyslogIdentifier'), name.replace('.service', ''));
  });

  t.test(`${name} does not go down with the database`, async (t) => {
    t.match(directive(name, 'Wants'), /\bpostgresql\.service\b/);
    t.notMatch(text(name), /^(Requires|BindsTo|PartOf)=/m);
  });
}

for (const name of ['tds-core-api.service', 'tds-core-worker.service']) {
  t.test(`${name} is given longer to stop than the process takes at most`, async (t) => {
    const margin = 5; // seconds, for pools and systemd after the drain
    t.ok(Number.parseInt(directive(name, 'TimeoutStopSec') ?? '', 10) > SETTINGS.drainSeconds.fallback + margin);
  });

  t.test(`${name} comes after the migration`, async (t) => {
    t.match(directive(name, 'After'), 'tds-core-migrate.service');
  });

  t.test(`${name} is not started again when its settings are wrong`, async (t) => {
    t.equal(directive(name, 'RestartPreventExitStatus'), '78');
  });
}

t.test('the socket listens where the API listens by default', async (t) => {
  t.equal(directive('tds-core-api.socket', 'ListenStream'), `${SETTINGS.host.fallback}:${SETTINGS.port.fallback}`);
});

const analyzer = spawnSync('systemd-analyze', ['--version']);
const skip = analyzer.error ? 'systemd-analyze is not installed' : false;

t.test('systemd-analyze verify has nothing to say', { skip }, async (t) => {
  // It checks that programs exist, and they are here rather than in /opt.
  const copies = fs.mkdtempSync(path.join(tmpdir(), 'tds-units-'));
  t.teardown(() => fs.rmSync(copies, { recursive: true }));
  for (const name of names) fs.writeFileSync(path.join(copies, name), text(name).replaceAll(INSTALLED, ROOT));
  const units = names.map((name) => path.join(copies, name));
  const { status, stderr, stdout } = spawnSync('systemd-analyze', ['verify', ...units], { encoding: 'utf8' });
  t.same({ status, stderr, stdout }, { status: 0, stderr: '', stdout: '' });
});

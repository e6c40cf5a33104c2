import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { SETTINGS } from '../src/config.ts';
import { defaultWatchdogSeconds } from '../src/worker/watchdog.ts';

const ROOT = path.join(import.meta.dirname, '..');
const UNITS = path.join(ROOT, 'systemd');
const INSTALLED = '/opt/tds_core';

const units = fs.readdirSync(UNITS).filter((name) => !name.endsWith('.sh'));
const services = units.filter((name) => name.endsWith('.service'));
const text = (name: string) => fs.readFileSync(path.join(UNITS, name), 'utf8');

function directives(name: string, key: string): string[] {
  return [...text(name).matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value);
}

/** The value of a directive; its last one when it stands there more than once. */
function directive(name: string, key: string): string | undefined {
  return directives(name, key).at(-1);
}

/** '384M' in MiB, '60s' in seconds. */
const amount = (name: string, key: string) => Number.parseInt(directive(name, key) ?? '', 10);

t.test('the services have the names of the operations guide', async (t) => {
  t.same(services, ['tds-core-api.service', 'tds-core-migrate.service', 'tds-core-worker.service']);
});

for (const name of services) {
  t.test(`${name} starts a file of this repository with the Node of this repository`, async (t) => {
    const words = directive(name, 'ExecStart')?.split(' ') ?? [];
    const [node = '', script = ''] = words.filter((word) => !word.startsWith('--'));
    t.ok(fs.existsSync(node.replace(INSTALLED, ROOT)), node);
    t.ok(fs.existsSync(path.join(ROOT, script)), script);
    t.equal(directives(name, 'EnvironmentFile')[0], `${INSTALLED}/.env`);
    const owns = name === 'tds-core-migrate.service';
    t.equal(text(name).includes(`\nEnvironmentFile=-${INSTALLED}/.env.owner\n`), owns, 'only it owns the tables');
    t.equal(directive(name, 'User'), owns ? 'tds' : 'tds_app');
  });

  t.test(`${name} names itself in the journal`, async (t) => {
    t.equal(directive(name, 'SyslogIdentifier'), name.replace('.service', ''));
  });

  t.test(`${name} does not go down with the database`, async (t) => {
    t.match(directive(name, 'Wants'), /\bpostgresql\.service\b/);
    t.notMatch(text(name), /^(Requires|BindsTo|PartOf)=/m);
  });
}

const LONG_RUNNING = ['tds-core-api.service', 'tds-core-worker.service'];

for (const name of LONG_RUNNING) {
  t.test(`${name} is given longer to stop than the process takes at most`, async (t) => {
    const margin = 5; // seconds, for pools and systemd after the drain
    t.ok(amount(name, 'TimeoutStopSec') > SETTINGS.drainSeconds.fallback + margin);
  });

  t.test(`${name} comes after the migration`, async (t) => {
    t.match(directive(name, 'After'), 'tds-core-migrate.service');
  });

  t.test(`${name} is started again whatever ended it and how often, but not when its settings are wrong`, async (t) => {
    t.equal(directive(name, 'Restart'), 'always');
    t.equal(directive(name, 'StartLimitIntervalSec'), '0');
    t.equal(directive(name, 'RestartPreventExitStatus'), '78');
  });

  t.test(`${name} says by a child process that it is ready and alive`, async (t) => {
    t.equal(directive(name, 'Type'), 'notify');
    t.equal(directive(name, 'NotifyAccess'), 'all');
    t.ok(directive(name, 'ExecPaths')?.split(' ').includes('/usr'), 'systemd-notify and /bin/sh may be executed');
  });

  t.test(
    `${name} is ended when its event loop stands still, but not before the process has dealt with it`,
    async (t) => {
      const longest = defaultWatchdogSeconds(SETTINGS.leaseSeconds.fallback);
      t.ok(amount(name, 'WatchdogSec') >= 2 * longest, `WatchdogSec is far above ${longest} s`);
    },
  );

  t.test(`${name} meets V8's limit before the kernel's`, async (t) => {
    const heap = Number(/--max-old-space-size=(\d+)/.exec(directive(name, 'ExecStart') ?? '')?.[1]);
    const [high, max] = [amount(name, 'MemoryHigh'), amount(name, 'MemoryMax')];
    t.ok(heap < high && high < max, `${heap} < ${high} < ${max}`);
    t.equal(directive(name, 'MemorySwapMax'), '0');
    t.equal(directive(name, 'LimitCORE'), '0', 'a core file would hold secrets');
  });

  t.test(`${name} leaves no secrets in the reports of its deaths`, async (t) => {
    const words = directive(name, 'ExecStart')?.split(' ') ?? [];
    t.ok(words.includes('--report-on-fatalerror') && words.includes('--report-exclude-env'));
    t.ok(words.includes(`--report-directory=/var/log/${directive(name, 'LogsDirectory')}`));
  });

  t.test(`${name} may write where it is told to`, async (t) => {
    t.equal(directive(name, 'ProtectSystem'), 'strict');
    const environment = directives(name, 'Environment');
    t.ok(environment.includes(`NODE_COMPILE_CACHE=/var/cache/${directive(name, 'CacheDirectory')}`));
    t.ok(environment.includes(`${SETTINGS.dataDir.env}=/var/lib/${directive(name, 'StateDirectory')}`));
  });

  t.test(`${name} logs a death of which the process knew nothing`, async (t) => {
    const [shell, script = '', ...args] = directive(name, 'ExecStopPost')?.split(' ') ?? [];
    t.equal(shell, '/bin/sh');
    const log = (env: NodeJS.ProcessEnv) =>
      spawnSync('/bin/sh', [script.replace(INSTALLED, ROOT), ...args], {
        env: { ...process.env, ...env },
        encoding: 'utf8',
      });
    t.equal(log({ SERVICE_RESULT: 'success' }).stdout, '', 'a good end is not a death');
    const { stdout } = log({ SERVICE_RESULT: 'watchdog', EXIT_CODE: 'killed', EXIT_STATUS: 'ABRT' });
    t.match(stdout, /^<2>\{.*\}\n$/, 'journalctl -p err shows it');
    t.match(JSON.parse(stdout.slice(3)), {
      level: 'fatal',
      service: name.replace('.service', ''),
      component: 'systemd',
      timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
      metadata: { result: 'watchdog', code: 'killed', status: 'ABRT' },
    });
  });
}

for (const name of services) {
  t.test(`${name} runs with no more rights than it needs`, async (t) => {
    const expected = {
      NoNewPrivileges: 'yes',
      CapabilityBoundingSet: '',
      ProtectSystem: 'strict',
      ProtectHome: 'yes',
      PrivateUsers: 'yes',
      RestrictNamespaces: 'yes',
      NoExecPaths: '/',
      UMask: '0077',
    };
    for (const [key, value] of Object.entries(expected)) t.equal(directive(name, key), value, key);
    t.match(directive(name, 'InaccessiblePaths'), `-${INSTALLED}/.env`);
    t.equal(directive(name, 'MemoryDenyWriteExecute'), undefined, 'V8 does not start under it');
  });

  t.test(`${name} can execute its Node`, async (t) => {
    const node = directive(name, 'ExecStart')?.split(' ')[0] ?? '';
    const real = fs.realpathSync(node.replace(INSTALLED, ROOT)).replace(fs.realpathSync(ROOT), INSTALLED);
    t.ok(
      directive(name, 'ExecPaths')
        ?.split(' ')
        .some((folder) => real.startsWith(`${folder}/`)),
      real,
    );
  });
}

t.test('neither API nor worker reaches the credentials of a cloud', async (t) => {
  t.match(directive('tds-core-api.service', 'IPAddressDeny'), /\blink-local\b/);
  t.match(directive('tds-core-worker.service', 'IPAddressDeny'), /\blink-local\b/);
});

t.test('the socket listens where the API listens by default', async (t) => {
  t.equal(directive('tds-core-api.socket', 'ListenStream'), `${SETTINGS.host.fallback}:${SETTINGS.port.fallback}`);
});

const analyzer = spawnSync('systemd-analyze', ['--version']);
const skip = analyzer.error ? 'systemd-analyze is not installed' : false;

/** Copies of the units that start the programs of this repository instead of those in /opt. */
function copyUnits(t: Test): string[] {
  const copies = fs.mkdtempSync(path.join(tmpdir(), 'tds-units-'));
  t.teardown(() => fs.rmSync(copies, { recursive: true }));
  for (const name of units) fs.writeFileSync(path.join(copies, name), text(name).replaceAll(INSTALLED, ROOT));
  return units.map((name) => path.join(copies, name));
}

t.test('systemd-analyze verify has nothing to say', { skip }, async (t) => {
  const { status, stderr, stdout } = spawnSync('systemd-analyze', ['verify', ...copyUnits(t)], { encoding: 'utf8' });
  t.same({ status, stderr, stdout }, { status: 0, stderr: '', stdout: '' });
});

/** The most that systemd-analyze may find exposed, of 100. A service with nothing but User= has 92. */
const EXPOSURE = { 'tds-core-api.service': 13, 'tds-core-migrate.service': 11, 'tds-core-worker.service': 13 };

t.test('systemd-analyze security finds little exposed', { skip }, async (t) => {
  for (const file of copyUnits(t)) {
    const limit = EXPOSURE[path.basename(file) as keyof typeof EXPOSURE];
    if (limit === undefined) continue; // the socket
    const args = ['security', '--no-pager', '--offline=true', `--threshold=${limit}`, file];
    const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    t.equal(status, 0, `${path.basename(file)}: ${stdout.trim().split('\n').at(-1)} ${stderr}`);
  }
});

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import t from 'tap';
import { testDatabase, waitFor } from '../helper.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const { url: databaseUrl } = await testDatabase(t);

t.test('restarts under load break no request when the socket is inherited', { timeout: 60_000 }, async (t) => {
  const socket = boundSocket();
  t.teardown(() => socket.close());

  let server = await start({ socket });
  const load = new Load(Number(new URL(server.url).port));
  for (let restart = 0; restart < 2; restart++) {
    await load.answers(50);
    const stopped = stop(server);
    server = await start({ socket });
    t.equal(await stopped, 0, 'exit code');
  }
  await load.answers(50);
  const { errors } = await load.end();
  t.equal(await stop(server), 0);
  t.same(errors, []);
});

t.test('without an inherited socket it binds HOST and PORT', async (t) => {
  const server = await start({ env: { PORT: '0' } });
  const answer = await fetch(`${server.url}/health`);
  t.equal(answer.status, 200);
  t.equal(await stop(server), 0);
});

t.test('it ends when the process that started it is gone', async (t) => {
  const server = await start({ env: { PORT: '0' }, ipc: true });
  const ended = once(server.process, 'exit');
  server.process.disconnect();
  t.same((await ended)[0], 0);
});

t.test('it refuses to start without a database URL', async (t) => {
  const child = spawn(process.execPath, ['src/api/main.ts'], { cwd: ROOT, env: { PATH: process.env.PATH } });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const [code] = await once(child, 'exit');
  t.equal(code, 78);
  t.match(stderr, 'DATABASE_URL');
});

/** A bound socket that this process never accepts on, as systemd holds one: net.Server would take connections itself. */
type BoundSocket = { fd: number; bind(address: string, port: number): number; close(): void };

function boundSocket(): BoundSocket {
  type TcpWrap = { TCP: new (kind: number) => BoundSocket; constants: { SERVER: number } };
  const { TCP, constants } = (process as unknown as { binding(name: string): TcpWrap }).binding('tcp_wrap');
  const socket = new TCP(constants.SERVER);
  socket.bind('127.0.0.1', 0);
  return socket;
}

type Server = { process: ChildProcess; url: string };

/** Starts src/api/main.ts, with the listening socket as fd 3 as systemd would pass it, and waits until it serves. */
async function start({
  socket,
  env = {},
  ipc = false,
}: {
  socket?: BoundSocket;
  env?: object;
  ipc?: boolean;
}): Promise<Server> {
  // LISTEN_PID must be the pid of the very process: only the shell that becomes it can know.
  const command = `LISTEN_PID=$$ exec "${process.execPath}" src/api/main.ts`;
  const child = spawn('sh', ['-c', command], {
    cwd: ROOT,
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      NODE_ENV: 'test',
      ...(socket ? { LISTEN_FDS: '1' } : {}),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit', socket?.fd ?? 'ignore', ...(ipc ? ['ipc' as const] : [])],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout?.on('data', (text) => (output += text));
  const url = await waitFor('the server to listen', () => /"url":"([^"]+)"/.exec(output)?.[1]);
  return { process: child, url };
}

async function stop(server: Server): Promise<number> {
  const exit = once(server.process, 'exit');
  server.process.kill('SIGTERM');
  return (await exit)[0];
}

/** Clients that never rest: half of them keep their connection, half open one per request. */
class Load {
  readonly #port: number;
  readonly #errors: string[] = [];
  readonly #clients: Promise<void>[];
  #done = 0;
  #ending = false;

  constructor(port: number) {
    this.#port = port;
    this.#clients = [true, true, true, false, false, false].map((keepAlive) =>
      this.#run(new http.Agent({ keepAlive })),
    );
  }

  async answers(count: number): Promise<void> {
    const target = this.#done + count;
    await waitFor(`${count} more answers`, () => this.#done >= target);
  }

  async end(): Promise<{ errors: string[] }> {
    this.#ending = true;
    await Promise.all(this.#clients);
    return { errors: this.#errors };
  }

  async #run(agent: http.Agent): Promise<void> {
    while (!this.#ending) {
      const error = await this.#request(agent);
      if (error) this.#errors.push(error);
      this.#done += 1;
    }
    agent.destroy();
  }

  #request(agent: http.Agent): Promise<string | undefined> {
    return new Promise((resolve) => {
      const request = http.get({ host: '127.0.0.1', port: this.#port, path: '/readyz', agent }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode === 200 ? undefined : String(answer.statusCode)));
      });
      request.on('error', (error) => resolve(error.message));
    });
  }
}

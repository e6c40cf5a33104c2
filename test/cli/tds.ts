/** Runs command lines in this process, as `tds` would, without a terminal. */
import type { Io } from '../../src/cli/command.ts';
import { run } from '../../src/cli/program.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { apiOn, OPERATORS } from '../api/client.ts';
import { freePort } from '../free-port.ts';
import { type Teardown, testDatabase } from '../helper.ts';

export type Ran = { code: number; out: string; err: string };

/** Runs one command line. */
export async function tds(words: string[], config: Config, over: Partial<Io> = {}): Promise<Ran> {
  let [out, err] = ['', ''];
  const io: Io = {
    config,
    out(text) {
      out += text;
    },
    err(text) {
      err += text;
    },
    tty: { in: false, out: false, err: false },
    ask: async () => false,
    sleep: async () => false,
    ...over,
  };
  return { code: await run(io, words), out, err };
}

/** An API on a database of its own, and both ways to it; `nobody` is an address at which nobody listens. */
export async function cliOn(t: Teardown) {
  const database = await testDatabase(t);
  const { db, pool, url: databaseUrl } = database;
  const { api } = await apiOn(t, database, { operators: OPERATORS });
  const tdsUrl = await api.listen({ host: '127.0.0.1', port: 0 });
  const base: Config = { ...loadConfig({ NODE_ENV: 'test' }), databaseUrl };
  const HTTP = { ...base, tdsUrl, tdsToken: 'admin-token' };
  const LOCAL = { ...base, tdsUrl: undefined };
  return {
    ...{ db, pool, api, HTTP, LOCAL, nobody: `http://127.0.0.1:${await freePort()}` },
    tds: (words: string[], config: Config = HTTP, over: Partial<Io> = {}) => tds(words, config, over),
  };
}

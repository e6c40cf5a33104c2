import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import t from 'tap';
import {
  blamesTheRow,
  classify,
  describeThrown,
  isContention,
  isDatabaseAway,
  isLockTimeout,
  isOutOfConnections,
  isServerUnableToWrite,
  isStatementTimeout,
} from '../../src/errors.ts';
import { freePort } from '../free-port.ts';
import { type Teardown, testDatabase, waitFor } from '../helper.ts';

const { url, pool } = await testDatabase(t);

const errorOf = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => Promise.reject(new Error('nothing was thrown')),
    (error) => error,
  );

/** Runs statements on a connection of its own, at least one of which fails. */
async function failing(statements: string[], config: pg.ClientConfig = {}): Promise<Error> {
  const client = new pg.Client({ connectionString: url, ...config });
  client.on('error', () => undefined);
  const run = async () => {
    await client.connect();
    for (const statement of statements) await client.query(statement);
  };
  try {
    return await errorOf(run());
  } finally {
    await client.end().catch(() => undefined);
  }
}

const raised = (state: string) => failing([`do $$ begin raise exception 'mine' using errcode = '${state}'; end $$`]);
const fatal = (code: string, severity = 'FATAL') => Object.assign(new Error('the server said so'), { code, severity });

/** Nobody's server: tests add where it is to be found. */
const nobody = { connectionString: undefined, user: 'x', database: 'x', password: 'x' };

/** In the system's directory: the name of a socket has at most 107 characters. */
function socketDirectory(t: Teardown): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'tds-errors-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

t.test('a server that cannot be reached is away, over TCP and Unix socket', async (t) => {
  const port = await freePort();
  const places = {
    'refused at an address': { host: '127.0.0.1', port },
    'refused at each address of a name': { host: 'localhost', port },
    'without its Unix socket': { host: socketDirectory(t) },
    'unknown host': { host: 'nowhere.invalid' },
  };
  for (const [name, place] of Object.entries(places)) {
    const error = await failing([], { ...nobody, ...place });
    t.ok(isDatabaseAway(error), `${name}: ${describeThrown(error)}`);
  }
});

/** A PostgreSQL that answers every connection with `answer` and hangs up, or says nothing at all. */
async function listen(t: Teardown, where: net.ListenOptions, answer: Buffer | undefined): Promise<void> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    socket.once('data', () => answer && socket.end(answer));
  });
  await once(server.listen(where), 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
}

/** https://www.postgresql.org/docs/current/protocol-message-formats.html */
function errorResponse(fields: Record<string, string>): Buffer {
  const texts = Object.entries(fields).map(([type, value]) => `${type}${value}\0`);
  const body = Buffer.from(`${texts.join('')}\0`);
  const head = Buffer.from('E....');
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

const ANSWERS = {
  starting: errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P03', M: 'the database system is starting up' }),
  full: errorResponse({ S: 'FATAL', V: 'FATAL', C: '53300', M: 'sorry, too many clients already' }),
  'hanging up': Buffer.alloc(0),
  silent: undefined,
};

t.test('a server that is starting, full, silent or hangs up is away, over TCP and Unix socket', async (t) => {
  for (const [name, answer] of Object.entries(ANSWERS)) {
    const places = [
      { host: '127.0.0.1', port: await freePort() },
      { host: socketDirectory(t), port: 5432 },
    ];
    for (const { host, port } of places) {
      await listen(t, host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }, answer);
      const config = { ...nobody, host, port, connectionTimeoutMillis: 200 };
      const pooled = new pg.Pool(config);
      for (const error of [await failing([], config), await errorOf(pooled.connect())]) {
        t.ok(isDatabaseAway(error), `${name}: ${describeThrown(error)}`);
        t.equal(isOutOfConnections(error), name === 'full');
      }
      await pooled.end();
    }
  }
});

t.test('a pool that has no connection in time counts as away', async (t) => {
  const crowded = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 1000 });
  const client = await crowded.connect();
  const error = await errorOf(crowded.connect());
  client.release();
  await crowded.end();
  t.match(error.message, 'timeout exceeded when trying to connect');
  t.ok(isDatabaseAway(error));
});

t.test('a session that the server ends is away', async (t) => {
  const error = await failing(['select pg_terminate_backend(pg_backend_pid())']);
  t.match(error, { code: '57P01', severity: 'FATAL' });
  t.ok(isDatabaseAway(error));
  t.ok(isDatabaseAway(new Error('around it', { cause: error })));
  t.ok(isDatabaseAway(new AggregateError([new Error('first'), error])));
  for (const code of ['57P02', '57P03', '57P05', '53100', '53200', '53300', '08006', '08P01', '58030'])
    t.ok(isDatabaseAway(fatal(code)), code);
  t.ok(isDatabaseAway(fatal('XX000', 'PANIC')));
  t.ok(isDatabaseAway(fatal('57P01', 'ВАЖНО')), 'in the language of the server');
});

t.test('what a statement raised itself does not mean that the database is away', async (t) => {
  for (const state of ['57P01', '57P03', '08006', '53100', '53300', '58030', '40001', '25006']) {
    const error = await raised(state);
    t.match(error, { code: state, severity: 'ERROR' });
    t.notOk(isDatabaseAway(error), state);
  }
  t.notOk(isDatabaseAway(fatal('57P01', 'FEHLER')), 'nor in the language of the server');
  t.notOk(isDatabaseAway(Object.assign(new Error('x'), { code: 'ENOENT', syscall: 'open' })), 'a file is missing');
  for (const other of [null, 'Connection terminated', new Error('x'), { code: 'E' }]) t.notOk(isDatabaseAway(other));
  t.notOk(isDatabaseAway(Object.assign(new Error('Connection terminated by me'), { code: 'P0001' })));
});

t.test('wrong settings are no outage', async (t) => {
  const { host, port, user, password } = new pg.Client({ connectionString: url });
  const place = { host, port, user, ...(typeof password === 'string' ? { password } : {}) };
  const error = await failing([], { ...place, connectionString: undefined, database: 'no_such_database' });
  t.match(error, { code: '3D000', severity: 'FATAL' });
  t.notOk(isDatabaseAway(error));
  for (const code of ['28000', '28P01', '42501', '22023', '0A000']) t.notOk(isDatabaseAway(fatal(code)), code);
});

t.test('limits in time are told from an outage and from a cancel', async (t) => {
  const limited = await failing(['set statement_timeout = 20', 'select pg_sleep(60)']);
  const read = await failing(['select pg_sleep(60)'], { query_timeout: 20 });
  const idle = new pg.Client({ connectionString: url });
  const ended = once(idle, 'error');
  idle.on('error', () => undefined);
  await idle.connect();
  await idle.query('set idle_in_transaction_session_timeout = 20');
  await idle.query('begin');
  const [idled] = await ended;
  for (const error of [limited, read, idled, new Error('around it', { cause: limited }), { code: '25P04' }]) {
    t.ok(isStatementTimeout(error), describeThrown(error));
    t.notOk(isDatabaseAway(error), describeThrown(error));
    t.match(classify(error), { tag: 'TimeoutError', permanent: false });
  }
  const client = await pool.connect();
  const { rows } = await client.query('select pg_backend_pid() as pid');
  const cancelled = errorOf(client.query('select pg_sleep(60)'));
  const isSleeping = `select pg_cancel_backend(pid) from pg_stat_activity where pid = $1 and query ~ 'pg_sleep'`;
  await waitFor('the cancel', async () => (await pool.query(isSleeping, [rows[0].pid])).rowCount === 1);
  const error = await cancelled;
  client.release();
  t.match(error, { code: '57014' });
  t.notOk(isStatementTimeout(error), 'cancelled on request');
  t.notOk(isStatementTimeout(new Error('x')));
});

t.test('each passing condition of the server has its own question', async (t) => {
  const questions = { isContention, isServerUnableToWrite, isLockTimeout, isOutOfConnections, blamesTheRow };
  const table: Record<string, string[]> = {
    isContention: ['40001', '40P01'],
    isServerUnableToWrite: ['53100', '53200', '58030', '25006'],
    isLockTimeout: ['55P03'],
    isOutOfConnections: ['53300'],
    blamesTheRow: ['22P02', '23505', '54000'],
  };
  for (const [name, asked] of Object.entries(questions))
    for (const [owner, states] of Object.entries(table))
      for (const state of [...states, '42P01'])
        t.equal(asked({ code: state }), owner === name && state !== '42P01', `${name} ${state}`);
  t.ok(isServerUnableToWrite(await failing(['set default_transaction_read_only = on', 'create table t ()'])));
  await pool.query('create table locked ()');
  const client = await pool.connect();
  await client.query('begin; lock table locked');
  t.ok(isLockTimeout(await failing(['set lock_timeout = 20', 'select from locked'])));
  await client.query('rollback');
  client.release();
});

t.test('values of a row are neither in the message nor in the detail of an error from PostgreSQL', async (t) => {
  await pool.query(`create type mood as enum ('ok');
    create table people (email text constraint people_email_key unique, age int check (age < 100), born date not null)`);
  await pool.query(`insert into people values ('canary@x', 1, now())`);
  const table: [string, string, object][] = [
    [`select $1::numeric`, 'invalid input syntax for type numeric: "…"', { code: '22P02' }],
    [`select $1::mood`, 'invalid input value for enum mood: "…"', {}],
    [`select $1::json`, 'invalid input syntax for type json', {}],
    [`select $1::date`, 'invalid input syntax for type date: "…"', {}],
    [`select to_date($1, 'DD')`, 'invalid value "…"', {}],
    [`select $1::text[] || '{'::text[]`, 'malformed array literal: "…"', {}],
    [`select convert_from(('a' || $1)::bytea || '\\xff', 'UTF8')`, 'invalid byte sequence for encoding "…": 0x…', {}],
    [
      `insert into people values ($1, 1, now())`,
      'duplicate key value violates unique constraint "people_email_key"',
      { constraint: 'people_email_key', table: 'people' },
    ],
    [
      `insert into people values ($1, 100, now())`,
      'new row for relation "people" violates check constraint "people_age_check"',
      { constraint: 'people_age_check' },
    ],
    [
      `insert into people values ($1, 1)`,
      'null value in column "born" of relation "people" violates not-null constraint',
      { column: 'born', table: 'people' },
    ],
    [`select $1::text from nowhere`, 'relation "nowhere" does not exist', { code: '42P01' }],
    [`select "canary 'x" from people where email = $1`, 'column "…" does not exist', { code: '42703' }],
    [`select 1 as x where $1 = '' canary`, 'syntax error at or near "…"', { code: '42601' }],
  ];
  for (const value of ['canary@x', 'canary "quoted" canary', '"canary', 'people" canary "people']) {
    await pool.query('insert into people values ($1, 1, now()) on conflict do nothing', [value]);
    for (const [statement, expected, cause] of table) {
      const error = await errorOf(pool.query(statement, [value]));
      const wrapped = new Error(`saving failed: ${error.message}`, { cause: error });
      const { message, detail } = classify(error);
      t.equal(message, expected, statement);
      t.match(detail.causes, [cause]);
      t.equal(classify(wrapped).message, `saving failed: ${expected}`);
      const stored = JSON.stringify([classify(error), classify(wrapped), describeThrown(wrapped)]);
      t.notMatch(stored.replace(/at .*?\)/g, ''), /canary/, statement);
    }
  }
});

t.test('keys, other quotation marks and cut messages tell no values either', async (t) => {
  const message = (text: string, code = '22P02') => classify(Object.assign(new Error(text), { code })).message;
  t.equal(message('Key (email)=(a@b) already exists.', '23505'), 'Key (email)=(…) already exists.');
  t.equal(message('Key (a, b)=(x) y, (z)) already exists.', '23505'), 'Key (a, b)=(…) already exists.');
  t.equal(message('ungültige Eingabesyntax für Typ numeric: »geheim«'), 'ungültige Eingabesyntax für Typ numeric: "…"');
  t.equal(
    message('syntaxe en entrée invalide pour le type x : « secret »'),
    'syntaxe en entrée invalide pour le type x : "…"',
  );
  t.equal(message('cut within "secret'), 'cut within "…"');
  t.equal(message('column "email" of "secret', '42703'), 'column "…"');
  t.equal(message('integer out of range', '22003'), 'integer out of range');
  t.equal(classify(new Error('a handler says "so"')).message, 'a handler says "so"', 'others keep their words');
  const inner = Object.assign(new Error('no "x" and "secret"'), { code: '22P02' });
  const outer = Object.assign(new Error('no "x"', { cause: inner }), { code: '22P02' });
  t.equal(classify(outer).detail.causes[1]?.message, 'no "…"', 'one message may be the start of another');
  const custom = Object.assign(new Error('refused "x"'), { code: 'TDS01', severity: 'ERROR' });
  t.equal(classify(custom).message, 'refused "…"', 'also under a SQLSTATE of their own');
});

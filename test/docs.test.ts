/** What the documents say is compared with what is there. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import t from 'tap';
import { SETTINGS } from '../src/config.ts';
import { loadHandlers } from '../src/handlers/load.ts';
import { DATABASE_AWAY, RULES } from '../src/monitor/alerts/rules.ts';
import { testDatabase } from './helper.ts';
import { readGuide } from './runbook/guide.ts';

const ROOT = path.join(import.meta.dirname, '..');
const DOCUMENTS = ['README.md', 'DEPLOYMENT.md', 'CHANGELOG.md', ...readdirSync(path.join(ROOT, 'docs')).map(inDocs)];

function inDocs(file: string): string {
  return `docs/${file}`;
}

const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const manifest = JSON.parse(read('package.json'));

/** The part of a document under a heading, up to the next heading of any level. */
function section(document: string, heading: string): string {
  const found = read(document)
    .split(/^#+ /m)
    .find((part) => part.startsWith(`${heading}\n`));
  if (!found) throw new Error(`${document} has no heading ${heading}`);
  return found;
}

/** The code blocks of a language. */
function codes(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code = '']) => code);
}

t.test('every direct dependency has a row with its reason', async (t) => {
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  const rows = [...section('README.md', 'Dependencies').matchAll(/^\| `(\S+)` \| .{5,} \|$/gm)].map(([, name]) => name);
  t.same(rows.toSorted(), Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }).toSorted());
});

t.test('every npm script that is named exists', async (t) => {
  for (const document of DOCUMENTS) {
    for (const [, script = ''] of read(document).matchAll(/\bnpm run ([\w:-]*\w)/g))
      t.ok(manifest.scripts[script], script);
  }
});

t.test('every npm script is named', async (t) => {
  for (const script of Object.keys(manifest.scripts))
    t.match(DOCUMENTS.map(read).join(), new RegExp(`npm (run )?${script}\\b`), script);
});

t.test('the list of tested commands has every section of the operations guide', async (t) => {
  const list = /<!-- runbook -->\n([\s\S]*?)<!--/.exec(read('docs/operations.md'))?.[1] ?? '';
  const sections = [...list.matchAll(/^- (.*)$/gm)].map(([, name]) => name);
  t.same(sections, [...new Set(readGuide().map((block) => block.section))]);
});

t.test('the table of alerts has every rule with its threshold', async (t) => {
  const rows = [
    ...section('docs/operations.md', 'Alerts').matchAll(/^\| ([^|]+) \| (critical|warning|info) \| (\d+) .* \|$/gm),
  ];
  t.same(
    rows.map(([, title, severity, threshold]) => ({ title, severity, threshold: Number(threshold) })),
    [...RULES, DATABASE_AWAY].map(({ title, severity, threshold }) => ({ title, severity, threshold })),
  );
});

t.test('every notification links to a section of the runbook, which says what to do', async (t) => {
  for (const { rule, title, severity } of [...RULES, DATABASE_AWAY]) {
    t.match(section('docs/runbook.md', rule), `**${title}** (${severity}). `, rule);
    t.match(section('docs/runbook.md', rule), /^1\. ./m, rule);
  }
  for (const anchor of ['dead_letter', 'workflow_failed']) t.match(section('docs/runbook.md', anchor), /^1\. ./m);
});

/** Settings of systemd's, of Node's, of terminals and of an example. */
const OTHERS = new Set(['NO_COLOR', 'SHIPPING_URL', 'NODE_COMPILE_CACHE']);

t.test('every setting that is named exists', async (t) => {
  const known = new Set(Object.values(SETTINGS).map((setting) => setting.env as string));
  for (const document of DOCUMENTS) {
    const named = new Set(read(document).match(/\b[A-Z]+(_[A-Z]+)+(?==|`| )/g));
    for (const name of named) t.ok(known.has(name) || OTHERS.has(name), `${name} in ${document}`);
  }
});

t.test('the line for .curlrc is the one that the runbook test uses', async (t) => {
  const [line = ''] = /^header = "Authorization: Bearer /m.exec(section('docs/operations.md', 'Access')) ?? [];
  t.ok(line && read('test/runbook/shell.ts').includes(`\`${line}`));
});

t.test('every link leads to a file, and to a heading in it', async (t) => {
  for (const document of DOCUMENTS) {
    for (const [, file = '', anchor] of read(document).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const target = file ? path.join(path.dirname(document), file) : document;
      t.ok(existsSync(path.join(ROOT, target)), `${document} to ${target}`);
      if (anchor) t.ok(anchors(target).includes(anchor), `${document} to ${target}#${anchor}`);
    }
  }
});

/** The anchors of a document's headings, as GitHub makes them. */
function anchors(file: string): string[] {
  const headings = [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
}

t.test("the analyst's statements run", async (t) => {
  const { db } = await testDatabase(t);
  const blocks = codes(read('docs/analyst.md'), 'sql');
  const [index = '', queries] = [blocks.at(-1), blocks.slice(0, -1).join('\n')];
  const statements = queries.split(';').map((text) => text.trim());
  t.equal(statements.filter((text) => text !== '').length, 5);
  for (const query of statements.filter((text) => text !== '')) t.same((await sql.raw(query).execute(db)).rows, []);
  await sql.raw(index).execute(db);
  const plan = await db.transaction().execute(async (trx) => {
    await sql`set local enable_seqscan = off; set local enable_bitmapscan = off`.execute(trx);
    return sql.raw("explain select total from books_invoices where customer_id = '1'").execute(trx);
  });
  t.match(JSON.stringify(plan.rows), 'shop_invoices_by_customer', "the index serves the view's column");
});

t.test("the analyst's role reads the mirror and nothing else", async (t) => {
  const { pool } = await testDatabase(t);
  const [statements = ''] = codes(section('DEPLOYMENT.md', '11. A role for the analyst'), 'sql');
  const client = await pool.connect();
  t.teardown(() => client.release());
  // Roles belong to the whole server: this one is never committed.
  await client.query('begin');
  await client.query(statements);
  await client.query('set local role analyst');
  for (const relation of ['books_records', 'books_invoices', 'books_invoice_lines'])
    await t.resolves(client.query(`select from ${relation}`), relation);
  for (const refused of ['select from tds_inbox_payloads', 'select from tds_sync_queue', 'delete from books_records']) {
    await client.query('savepoint before');
    await t.rejects(client.query(refused), { code: '42501' }, refused);
    await client.query('rollback to before');
  }
  await client.query('rollback');
});

t.test('every view of the mirror is named', async (t) => {
  const { db } = await testDatabase(t);
  const views = await sql<{ name: string }>`
    select viewname as name from pg_views where schemaname = 'public' and viewname like 'books\\_%'`.execute(db);
  const named = new Set(section('docs/analyst.md', 'For the analyst').match(/\bbooks_\w+(?=`)/g));
  named.delete('books_records');
  t.same([...named].toSorted(), views.rows.map(({ name }) => name).toSorted());
});

t.test('the examples of the guide for handlers are the files that are tested', async (t) => {
  const guide = read('docs/handlers.md');
  const shown = [...guide.matchAll(/<!-- (examples\/\S+) -->\n```\w+\n([\s\S]*?)^```/gm)];
  for (const [, file = '', text] of shown) t.equal(text, read(file), file);
  const files = readdirSync(path.join(ROOT, 'examples/handlers')).filter((file) => file !== 'tsconfig.json');
  t.same(shown.map(([, file = '']) => path.basename(file)).toSorted(), files.toSorted());
});

t.test('the other examples of handlers are handlers', async (t) => {
  const [first = ''] = codes(section('README.md', 'Your own handlers'), 'ts');
  const [newest = ''] = codes(section('docs/handlers.md', 'Old events'), 'ts');
  const directory = t.testdir({ 'first.ts': first, 'newest.ts': newest });
  t.match(await loadHandlers(directory), [
    { name: 'first', eventTypes: ['invoice.*'], timeoutMs: 30_000 },
    { name: 'newest', eventTypes: ['invoice.*'] },
  ]);
  const tsconfig = { extends: path.join(ROOT, 'tsconfig.handlers.json') };
  writeFileSync(path.join(directory, 'tsconfig.json'), JSON.stringify(tsconfig));
  const command = ['-i', `PATH=${process.env.PATH}`, 'node_modules/.bin/tsc', '--noEmit', '-p', directory];
  t.match(spawnSync('env', command, { cwd: ROOT, encoding: 'utf8' }), { status: 0, stdout: '' });
});

t.test('every block of shell commands is well formed', async (t) => {
  for (const document of DOCUMENTS) {
    for (const commands of codes(read(document), 'bash'))
      t.equal(spawnSync('bash', ['-n'], { input: commands, encoding: 'utf8' }).stderr, '', commands);
  }
});

const missing = ['curl', 'jq'].find((program) => spawnSync(program, ['--version']).error);

t.test('the line that watches is silent while all is well, and only then', { skip: missing ?? false }, async (t) => {
  const line = /^\*\/5 \* \* \* \* tds (.*)$/m.exec(read('DEPLOYMENT.md'))?.[1] ?? '';
  let answer = { status: 200, body: '{"active_alerts":[]}' };
  const server = createServer((request, response) => {
    t.equal(`${request.url} ${request.headers.authorization}`, '/tds/dashboard/metrics Bearer TOKEN');
    response.writeHead(answer.status).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const command = line.replace('127.0.0.1:8000', `127.0.0.1:${(server.address() as AddressInfo).port}`);
  const printed = async () => (await promisify(execFile)('sh', ['-c', command])).stdout;
  t.equal(await printed(), '');
  answer = { status: 200, body: '{"active_alerts":[{"title":"High Dead Letter Queue"}]}' };
  t.match(await printed(), 'TDS Core has alerts');
  answer = { status: 503, body: '{"code":"database_unavailable"}' };
  t.match(await printed(), 'TDS Core has alerts');
  await new Promise((resolve) => server.close(resolve));
  t.match(await printed(), 'TDS Core has alerts');
});

const nginx = spawnSync('nginx', ['-v']);

t.test('nginx takes the file', { skip: nginx.error ? 'nginx is not installed' : false }, async (t) => {
  const directory = t.testdir({});
  const [site = ''] = codes(section('DEPLOYMENT.md', '5. nginx'), 'nginx');
  const subject = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=api.example.com'];
  spawnSync('openssl', [...subject, '-keyout', 'privkey.pem', '-out', 'fullchain.pem'], { cwd: directory });
  const here = site.replaceAll('/etc/letsencrypt/live/api.example.com', directory);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((use) => `${use}_temp_path ${directory};`);
  const main = `pid ${directory}/pid; error_log stderr; events {} http { access_log off; ${temporary.join(' ')} ${here} }`;
  writeFileSync(path.join(directory, 'nginx.conf'), main);
  const { status, stderr } = spawnSync('nginx', ['-t', '-p', directory, '-c', path.join(directory, 'nginx.conf')], {
    encoding: 'utf8',
  });
  t.equal(status, 0, stderr);
});

/** What the documents say is compared with what is there. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { sql } from 'kysely';
import t from 'tap';
import { SETTINGS } from '../src/config.ts';
import { loadHandlers } from '../src/handlers/load.ts';
import { RULES } from '../src/monitor/alerts/rules.ts';
import { testDatabase } from './helper.ts';
import { readGuide } from './runbook/guide.ts';

const ROOT = path.join(import.meta.dirname, '..');
const DOCUMENTS = ['README.md', 'DEPLOYMENT.md', 'CHANGELOG.md'];

const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const readme = read('README.md');
const manifest = JSON.parse(read('package.json'));

/** The part under a heading, up to the next heading of any level. */
const section = (heading: string) => readme.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';

/** The first code block of a language in a part. */
const code = (part: string, language: string) =>
  new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(part)?.[1] ?? '';

t.test('every direct dependency has a row with its reason', async (t) => {
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  const rows = [...section('Dependencies').matchAll(/^\| `(\S+)` \| .{5,} \|$/gm)].map(([, name]) => name);
  t.same(rows.toSorted(), Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }).toSorted());
});

t.test('every npm script that is named exists', async (t) => {
  for (const document of DOCUMENTS) {
    for (const [, script = ''] of read(document).matchAll(/\bnpm run ([\w:]+)/g))
      t.ok(manifest.scripts[script], script);
  }
});

t.test('every npm script is named', async (t) => {
  for (const script of Object.keys(manifest.scripts)) t.match(readme, new RegExp(`npm (run )?${script}\\b`), script);
});

t.test('the list of tested commands has every section of the operations guide', async (t) => {
  const list = /<!-- runbook -->\n([\s\S]*?)<!--/.exec(readme)?.[1] ?? '';
  const sections = [...list.matchAll(/^- (.*)$/gm)].map(([, name]) => name);
  t.same(sections, [...new Set(readGuide().map((block) => block.section))]);
});

t.test('the table of alerts has every rule with its threshold', async (t) => {
  const rows = [...section('Alerts').matchAll(/^\| ([^|]+) \| (critical|warning|info) \| (\d+) .* \|$/gm)];
  t.same(
    rows.map(([, title, severity, threshold]) => ({ title, severity, threshold: Number(threshold) })),
    RULES.map(({ title, severity, threshold }) => ({ title, severity, threshold })),
  );
});

t.test('every setting that is named exists', async (t) => {
  const known = new Set(Object.values(SETTINGS).map((setting) => setting.env as string));
  for (const document of ['README.md', 'DEPLOYMENT.md']) {
    const named = new Set(read(document).match(/\b[A-Z]+(_[A-Z]+)+(?==|`| )/g));
    for (const name of named) t.ok(known.has(name), `${name} in ${document}`);
  }
});

t.test('the line for .curlrc is the one that the runbook test uses', async (t) => {
  const [line = ''] = /^header = "Authorization: Bearer /m.exec(section('For the operator')) ?? [];
  t.ok(line && read('test/runbook/shell.ts').includes(`\`${line}`));
});

t.test('every link leads to a file, and to a heading in it', async (t) => {
  for (const document of DOCUMENTS) {
    for (const [, file = '', anchor] of read(document).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const target = file || document;
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
  const statements = code(section('For the analyst'), 'sql')
    .split(';')
    .map((text) => text.trim());
  const queries = statements.filter((text) => text !== '');
  t.equal(queries.length, 3);
  for (const query of queries) t.same((await sql.raw(query).execute(db)).rows, []);
});

t.test('every view of the mirror is named', async (t) => {
  const { db } = await testDatabase(t);
  const views = await sql<{ name: string }>`
    select viewname as name from pg_views where schemaname = 'public' and viewname like 'books\\_%'`.execute(db);
  const named = new Set(section('For the analyst').match(/\bbooks_\w+(?=`)/g));
  named.delete('books_records');
  t.same([...named].toSorted(), views.rows.map(({ name }) => name).toSorted());
});

t.test("the developer's example is a handler", async (t) => {
  const example = code(section('For the developer'), 'ts').replaceAll("'../src/", `'${ROOT}/src/`);
  const directory = t.testdir({ 'example.ts': example });
  t.match(await loadHandlers(directory), [{ name: 'example', eventTypes: ['invoice.*'], timeoutMs: 30_000 }]);
});

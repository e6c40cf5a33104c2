import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { ConfigError } from '../../src/config.ts';
import { doubtAbout } from '../../src/handlers/event-types.ts';
import type { HandlerContext, HandlerEvent } from '../../src/handlers/handler.ts';
import { loadHandlers, readHandlers } from '../../src/handlers/load.ts';
import { createLogger } from '../../src/log.ts';
import type { Teardown } from '../helper.ts';

const HANDLER = "export default { eventTypes: ['invoice.*'], async handle() {} };\n";

/** A folder outside this repository. */
function folder(t: Teardown, files: Record<string, string>): string {
  const directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'tds-handlers-')));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(directory, file), text);
  return directory;
}

async function problemsOf(directory: string): Promise<string> {
  const error = await readHandlers(directory).then(
    () => undefined,
    (reason) => reason,
  );
  if (!(error instanceof ConfigError)) throw error ?? new Error('nothing was refused');
  return error.problems.join('\n').replaceAll(directory, '');
}

const run = (handle: unknown) =>
  (handle as (e: HandlerEvent, c: HandlerContext) => Promise<unknown>)({} as never, {} as never);

t.test('what lies beside the handlers is passed over, and it is said why', async (t) => {
  const directory = folder(t, {
    'b-ship.ts': HANDLER,
    'a-bill.mjs': "export default { name: 'bill', eventTypes: ['bill.*'], async handle() {} };",
    'helper.ts': 'export const answer: number = 42;',
    'config.js': 'export default { url: "https://example.com" };',
    'format.js': 'export default function format() {}',
    'ship.test.ts': 'throw new Error("tests are not run");',
    'types.d.ts': 'export type Order = {};',
    'old.cjs': 'module.exports = {};',
    '.ship.ts.swp': '',
    '.#ship.ts': 'not code',
    'package.json': '{ "type": "module" }',
  });
  const { handlers, skipped, doubts } = await readHandlers(directory);
  t.same(
    handlers.map(({ name }) => name),
    ['bill', 'b-ship'],
  );
  t.same(Object.fromEntries(skipped.map(({ file, why }) => [file, why])), {
    'config.js': 'its default export has neither eventTypes nor handle',
    'format.js':
      'its default export is a function or a class; a handler is an object: export default { eventTypes, handle }',
    'helper.ts': 'it has no default export',
    'old.cjs': 'a handler ends in .ts, .js or .mjs',
    'ship.test.ts': 'it is a test',
    'types.d.ts': 'it holds types only',
  });
  t.same(doubts, []);
});

t.test('a folder outside the repository finds tds-core, kysely and what lies in it', async (t) => {
  const directory = folder(t, {
    'ship.ts': `import { sql as ours, defineHandler } from 'tds-core';
      import { sql } from 'kysely';
      import { answer } from './helper.js';
      export default defineHandler({ name: \`\${answer}-\${sql === ours}\`, eventTypes: ['*'], async handle() {} });`,
    'helper.js': 'export const answer = 42;',
  });
  t.match((await readHandlers(directory)).handlers, [{ name: '42-true' }]);
});

t.test('a package that is nowhere is refused with the file that wants it', async (t) => {
  const directory = folder(t, { 'ship.ts': `import 'no-such-package';\n${HANDLER}` });
  t.match(await problemsOf(directory), /Cannot find package 'no-such-package' imported from \/ship\.ts/);
});

t.test('a mistake in a file is told with file, line and column', async (t) => {
  const broken = "export default {\n  eventTypes: ['*'],\n  handle() { const = 5; },\n};\n";
  for (const [file, text, place] of [
    ['ship.ts', broken.replace('()', '(event: object)'), /^HANDLERS_DIR: \/ship\.ts:3:\d+: Unexpected token/],
    ['ship.js', broken, /^HANDLERS_DIR: \/ship\.js:3:20: Unexpected token '='/],
    ['ship.mjs', 'const a = 1;\nexport default { eventTypes: [nothing] };', /\/ship\.mjs:2:31: nothing is not defined/],
    ['ship.ts', "import { nope } from 'node:fs';\n", /\/ship\.ts:1:\d+: .*does not provide an export named 'nope'/],
    ['ship.ts', 'enum Kind { A }\nexport default {};', /\/ship\.ts:1:1: TypeScript enum is not supported/],
  ] as const)
    t.match(await problemsOf(folder(t, { [file]: text })), place);
});

t.test('a mistake in a helper is told where it is', async (t) => {
  const directory = folder(t, { 'ship.js': `import './tool.js';\n${HANDLER}`, 'tool.js': 'export const = 1;' });
  t.match(await problemsOf(directory), /\/tool\.js:1:14: /);
});

t.test('every file that is wrong is named at once, with what to do', async (t) => {
  const handler = (body: string) => `export default { eventTypes: ['bill.*'], async handle() {}, ${body} };`;
  const problems = await problemsOf(
    folder(t, {
      'a.js': "export default { eventTypes: ['invoice'], async handle() {} };",
      'b.js': "export default { eventTypes: ['invoice.*'] };",
      'c.js': handler('handleBatch: 5'),
      'd.js': handler('rateLimit: { max: 0, durationMs: 1000 }'),
      'e.js': handler("name: ''"),
      'f.js': handler('rateLimit: { max: 1, durationMs: Infinity }'),
    }),
  );
  t.match(problems, /a\.js needs eventTypes such as/);
  t.match(problems, /b\.js needs a function handle/);
  t.match(problems, /c\.js needs a function as handleBatch/);
  t.match(problems, /d\.js needs a rateLimit such as/);
  t.match(problems, /e\.js needs a name of at most 64/);
  t.match(problems, /f\.js needs a rateLimit such as/);
});

t.test('a time-out that a timer cannot keep is refused', async (t) => {
  const file = (timeoutMs: string) => ({
    'ship.js': `export default { eventTypes: ['*'], async handle() {}, timeoutMs: ${timeoutMs} };`,
  });
  for (const timeoutMs of ['0', '-1', 'NaN', 'Infinity', '2 ** 31', '86_400_001', "'5000'", 'null', '5000n'])
    t.match(await problemsOf(folder(t, file(timeoutMs))), /needs a timeoutMs from 1 to 86400000/, timeoutMs);
  for (const timeoutMs of ['1', '0.5e3', '86_400_000'])
    t.equal((await readHandlers(folder(t, file(timeoutMs)))).handlers.length, 1, timeoutMs);
});

t.test('names that collide are refused with both files, and the mirror keeps its own', async (t) => {
  t.match(
    await problemsOf(folder(t, { 'ship.js': HANDLER, 'ship.ts': HANDLER })),
    /ship\.js and ship\.ts are both named/,
  );
  t.match(await problemsOf(folder(t, { 'mirror.ts': HANDLER })), /mirror\.ts: the name mirror is that of the built-in/);
});

t.test('a class with private fields and a frozen export work as handlers', async (t) => {
  const directory = folder(t, {
    'class.ts': `class Ship {
        readonly eventTypes = ['invoice.*'];
        #calls = 0;
        async handle() { return ++this.#calls; }
      }
      export default new Ship();`,
    'frozen.js': `export default Object.freeze({ eventTypes: Object.freeze(['*']), async handle() { return 'frozen'; } });`,
  });
  const { handlers } = await readHandlers(directory);
  const [ship, frozen] = handlers;
  t.equal(await run(ship?.handle), 1);
  t.equal(await run(ship?.handle), 2);
  t.equal(await run(frozen?.handle), 'frozen');
  t.equal(ship?.name, 'class');
});

t.test('an event type that matches nothing is doubted, with what was meant', async (t) => {
  for (const [pattern, meant] of [
    ['invioce.*', "did you mean 'invoice.*'?"],
    ['invoices.created', "did you mean 'invoice.created'?"],
    ['Invoice.updated', "did you mean 'invoice.updated'?"],
    ['customer.*', "did you mean 'contact.*'?"],
    ['invoice.update', "did you mean 'invoice.updated'?"],
    ['invoice.upsert', "did you mean 'invoice.created' and 'invoice.updated'?"],
    ['invoice.craeted', "'invoice.craeted' probably matches no event; did you mean 'invoice.created'?"],
    ['invoice.Updated', "'invoice.Updated' matches no event; did you mean 'invoice.updated'?"],
    ['warehouse.*', "'warehouse.*' matches no event: the modules are"],
  ] as const)
    t.match(doubtAbout(pattern), meant, pattern);
  for (const pattern of ['*', 'invoice.*', 'bill.deleted', 'contact.approved', 'contact.demo_failure'])
    t.equal(doubtAbout(pattern), undefined, pattern);
});

t.test('the log lists each handler, what was passed over and what looks mistaken', async (t) => {
  const lines: string[] = [];
  const log = createLogger('test', 'info');
  for (const level of ['info', 'warn'] as const)
    log[level] = ((fields: object, message: string) =>
      lines.push(`${level} ${message} ${JSON.stringify(fields)}`)) as never;
  const directory = folder(t, {
    'ship.js': "export default { eventTypes: ['invioce.*'], timeout: 5, async handle() {} };",
    'helper.js': '',
  });
  await loadHandlers(directory, log);
  const logged = lines.join('\n');
  t.match(logged, /info file without a handler .*"helper\.js"/);
  t.match(logged, /info handler loaded .*"handler":"ship","event_types":\["invioce\.\*"\]/);
  t.match(logged, /warn handler looks mistaken .*did you mean 'invoice\.\*'/);
  t.match(logged, /warn handler looks mistaken .*'timeout' is not read; did you mean timeoutMs\?/);
});

t.test('a folder that is not there is refused', async (t) => {
  await t.rejects(
    readHandlers('/nowhere/handlers'),
    /HANDLERS_DIR: \/nowhere\/handlers cannot be read as a folder \(ENOENT\)/,
  );
});

/** Every curl, jq and SQL command of the operations guide, in its order, against a started system. */
import t from 'tap';
import { differences, readGuide } from './runbook/guide.ts';
import { missingPrograms, openShell } from './runbook/shell.ts';
import { documents, STATIONS } from './runbook/stations.ts';
import { startWorld, TOKEN } from './runbook/world.ts';

const blocks = readGuide();
const missing = missingPrograms();
const skip = missing.length > 0 ? `not installed: ${missing.join(', ')}` : false;

const answerOf = (section: string) => blocks.find((block) => block.section === section && block.answer)?.answer;

t.test('every block of the operations guide is known here', async (t) => {
  const withCommands = blocks.filter((block) => block.commands).map((block) => block.name);
  t.same(withCommands, Object.keys(STATIONS));
});

t.test('the operations guide', { skip }, async (t) => {
  const world = await startWorld(t);
  const run = openShell({ ...world, token: TOKEN, home: t.testdir() });

  for (const { name, section, language, commands, endpoint, answer } of blocks) {
    if (endpoint && answer && !commands) {
      await t.test(`${section}: GET ${endpoint} has the printed keys`, async (t) => {
        const output = await run({ language: 'bash', commands: `curl -s 'https://api.example.com/tds${endpoint}'` });
        t.same(differences(answer, documents(output)[0]), []);
      });
      continue;
    }
    await t.test(`${name}: runs as printed`, async (t) => {
      const station = STATIONS[name];
      if (!station) throw new Error(`no station for ${name}`);
      await station.arrange?.(world);
      const output = await run({
        language,
        commands: commands.replace(/uuid-of-failed-event|your-event-id/, world.subject),
      });
      await station.check(t, output, world, answerOf);
    });
  }
});

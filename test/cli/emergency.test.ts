/** The emergency procedures of DEPLOYMENT.md, each command as printed, against an API, a database and a stand-in for Zoho. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { addDeadLetter } from '../api/client.ts';
import { arrive, registerWorker } from '../queue/engine.ts';
import { StandIn } from '../zoho/stand-in.ts';
import { cliOn } from './tds.ts';

const { db, pool, HTTP, LOCAL, tds } = await cliOn(t);
const standIn = await StandIn.start(t);

/** Findings and differences are what these are asked for: exit code 1 or 2 is an answer. */
const TELLS = /^(doctor|check|zoho check|dlq retry)/;

const text = readFileSync(path.join(import.meta.dirname, '../../DEPLOYMENT.md'), 'utf8');
const section = text.split(/^#{2,3} /m).find((part) => part.startsWith('In an emergency\n')) ?? '';
const lines = section.match(/^tds .*$/gm) ?? [];

/** Words as a shell splits them; files go to a folder of the test. */
function wordsOf(line: string, folder: string): string[] {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
  return words.slice(1).map((word) => (/\.csv$/.test(word) ? path.join(folder, word) : word));
}

t.before(async () => {
  await addDeadLetter(db);
  await registerWorker(pool, 3600);
  await arrive(pool, ['1', '2']);
});

t.test('there are procedures for every kind of command that ends an emergency', async (t) => {
  t.ok(lines.length >= 25);
  for (const word of [
    'drain',
    'discard',
    'whoami',
    'register-webhooks',
    'verify',
    'rebuild',
    'release-stuck',
    '--event-type',
  ])
    t.ok(
      lines.some((line) => line.includes(word)),
      word,
    );
});

for (const line of lines) {
  t.test(line, async (t) => {
    const { ZOHO_ORGANIZATION_ID: _, ...environment } = standIn.environment;
    const zoho = {
      ...LOCAL,
      ...loadConfig({ NODE_ENV: 'test', ...environment, ZOHO_ORGANIZATION_ID: standIn.organizationId }),
      ...{ databaseUrl: LOCAL.databaseUrl, dataDir: t.testdir(), webhookSecrets: ['secretOfTwelve12'] },
    };
    const words = wordsOf(line, t.testdir());
    // --wait waits for a worker's clock, and none runs here: the run is made and is what is looked at.
    const given = words.filter((word) => word !== '--wait');
    const ran = await tds(given, words[0] === 'zoho' ? { ...zoho, tdsUrl: undefined } : HTTP);
    const command = words.join(' ');
    if (TELLS.test(command)) t.match(ran.err, /^(?!.*(unknown|missing|cannot))/, `${ran.code} ${ran.err}`);
    else t.equal(ran.code, 0, ran.err + ran.out);
    t.ok(ran.out.length + ran.err.length > 0, 'and says something');
  });
}

/** `npm run views`: gives the views of the mirror a column for each custom field that was seen. */
import { sql } from 'kysely';
import { environmentConfig } from '../config.ts';
import { type Database, openDatabase } from './database.ts';

export type ViewChange = {
  view: string;
  change: 'column added' | 'view created again' | 'failed';
  /** The new column and its type; null when the change is not about one. */
  name: string | null;
  type: string | null;
  detail: string;
};

const BATCH = 2000;

/**
 * Adds a column to the views for each custom field that was seen since the last time; says what it changed and what it
 * could not. No view is dropped and no column of one changes. For the command, and for the end of a pull.
 *
 * Only records that changed since are searched, in batches that commit on their own, so that readers of the change feed do
 * not wait for a first search through a million records. Each view is a transaction too: one that held the locks of two
 * could meet a query in a circle.
 */
export async function refreshViews(db: Database): Promise<ViewChange[]> {
  while (await numbered(db));
  for (let upTo = await searchedUpTo(db), left = 1; left > 0; ) {
    upTo += BATCH;
    const { rows } = await sql<{ left: string }>`select books_note_custom_fields(${upTo}) as left`.execute(db);
    left = Number(rows[0]?.left ?? 0);
  }
  const { rows: views } = await sql<{ view: string }>`select view from books_views order by view`.execute(db);
  const changes: ViewChange[] = [];
  for (const { view } of views) {
    changes.push(...(await sql<ViewChange>`select * from books_refresh_views(${view})`.execute(db)).rows);
  }
  return changes;
}

async function numbered(db: Database): Promise<boolean> {
  const { rows } = await sql<{ n: number }>`select books_number_changes(null, null, 1000) as n`.execute(db);
  return (rows[0]?.n ?? 0) > 0;
}

async function searchedUpTo(db: Database): Promise<number> {
  const { rows } = await sql<{ no: string }>`select change_no as no from books_custom_fields_progress`.execute(db);
  return Number(rows[0]?.no ?? 0);
}

async function main(args: string[]): Promise<void> {
  if (args.length > 0) return console.log('npm run views: adds a column to the views for each custom field seen.');
  const { databaseUrl } = environmentConfig();
  if (!databaseUrl) throw new Error('DATABASE_URL is not set: give it the URL that npm start prints');
  const { db, close } = openDatabase({ url: databaseUrl, max: 1, applicationName: 'tds-views', queryTimeoutMs: 0 });
  try {
    const changes = await refreshViews(db);
    for (const change of changes) console.log(sentence(change));
    if (changes.length === 0) console.log('every custom field seen has its column already');
    if (changes.some(({ change }) => change === 'failed')) process.exitCode = 1;
  } finally {
    await close();
  }
}

function sentence({ view, change, name, type, detail }: ViewChange): string {
  return name === null ? `${view}: ${change}: ${detail}` : `${view}: ${change}: ${name} ${type}, ${detail}`;
}

if (import.meta.main) {
  await main(process.argv.slice(2)).catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}

import { type Kysely, sql } from 'kysely';

const OLDEST_VERSION = 15;

type Facts = {
  version: number;
  server_encoding: string;
  fsync: string;
  full_page_writes: string;
  synchronous_commit: string;
};

/**
 * Asks the server whether it keeps what it commits. Throws when it cannot be used at all (too old, not UTF-8), and with
 * `strict` (production) also when a power cut could lose events that were answered with 202; otherwise returns those
 * as warnings.
 */
export async function checkServer<Schema>(db: Kysely<Schema>, options: { strict: boolean }): Promise<string[]> {
  const facts = await readFacts(db);
  const unusable = unusableReasons(facts);
  const unsafe = unsafeReasons(facts);
  const refused = options.strict ? [...unusable, ...unsafe] : unusable;
  if (refused.length > 0) throw new Error(`this PostgreSQL cannot be used: ${refused.join('; ')}`);
  return unsafe;
}

async function readFacts<Schema>(db: Kysely<Schema>): Promise<Facts> {
  const { rows } = await sql<Facts>`
    select current_setting('server_version_num')::int / 10000 as version,
           current_setting('server_encoding') as server_encoding,
           current_setting('fsync') as fsync,
           current_setting('full_page_writes') as full_page_writes,
           current_setting('synchronous_commit') as synchronous_commit`.execute(db);
  const [facts] = rows;
  if (!facts) throw new Error('PostgreSQL did not tell its settings');
  return facts;
}

function unusableReasons(facts: Facts): string[] {
  const reasons: string[] = [];
  if (facts.version < OLDEST_VERSION) reasons.push(`it is version ${facts.version}: use ${OLDEST_VERSION} or newer`);
  if (facts.server_encoding !== 'UTF8')
    reasons.push(`the database is encoded in ${facts.server_encoding}: create it with ENCODING 'UTF8'`);
  return reasons;
}

/** Each of these, when off, lets a power cut take back a COMMIT that was already answered. */
function unsafeReasons(facts: Facts): string[] {
  const names = ['fsync', 'full_page_writes', 'synchronous_commit'] as const;
  return names
    .filter((name) => facts[name] === 'off')
    .map((name) => `${name} is off: a power cut can lose accepted events`);
}

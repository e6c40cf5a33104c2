import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type AuditProblem = { id: string; problem: 'altered' | 'missing'; message: string };

export type AuditVerdict = {
  verdict: 'intact' | 'broken';
  entries: number;
  /** The latest entry and its hash: whoever keeps them elsewhere can prove later that nothing before was rewritten. */
  head: { id: string; hash: string };
  /** Number of the last entry that was purged; 0 when none was. */
  archived_id: string;
  problems: AuditProblem[];
};

/** The end of the log as somebody noted it earlier. */
export type NotedHead = { id: string; hash: string };

type Head = { last_id: string; hash: string; archived_id: string; archived_hash: string };
type Link = { id: string; hash: string; fits: boolean; previous: string };

const BATCH = 5000;
const MOST_PROBLEMS = 100;

/**
 * Follows the hash chain of the audit log from end to end and names every entry that does not fit. The hashes are
 * computed by this statement and not by the function that wrote them: whoever may alter rows may alter functions too.
 * Somebody who owns the tables can write the whole chain anew; `noted`, an earlier head, shows that as well.
 */
export async function verifyAudit(db: Database, noted?: NotedHead): Promise<AuditVerdict> {
  const head = await readHead(db);
  return verifyFrom(db, head, { id: head.archived_id, hash: head.archived_hash }, noted);
}

/** The same for the latest entries only, whatever their number: what the doctor can afford to look at. */
export async function verifyLatestAudit(db: Database, entries: number): Promise<AuditVerdict> {
  const head = await readHead(db);
  const { rows } = await sql<Start>`
    select id::text, encode(hash, 'hex') as hash from tds_audit_log
    where id > ${head.archived_id}::bigint and id <= ${head.last_id}::bigint - ${entries} order by id desc limit 1`.execute(
    db,
  );
  return verifyFrom(db, head, rows[0] ?? { id: head.archived_id, hash: head.archived_hash });
}

/** Where to begin: an entry that is believed, and its hash. */
type Start = { id: string; hash: string };

async function verifyFrom(db: Database, head: Head, start: Start, noted?: NotedHead): Promise<AuditVerdict> {
  const problems: AuditProblem[] = [];
  let entries = 0;
  let at = start;
  for await (const link of links(db, head, start)) {
    entries += 1;
    if (!link.fits) problems.push(brokenAt(link));
    if (noted && link.id === noted.id && link.hash !== noted.hash) problems.push(rewritten(noted));
    at = link;
  }
  if (at.id !== head.last_id || at.hash !== head.hash) problems.push(cutOff(at.id, head.last_id));
  if (noted && BigInt(noted.id) > BigInt(head.last_id)) problems.push(cutOff(head.last_id, noted.id));
  return {
    verdict: problems.length === 0 ? 'intact' : 'broken',
    entries,
    head: { id: head.last_id, hash: head.hash },
    archived_id: head.archived_id,
    problems: problems.slice(0, MOST_PROBLEMS),
  };
}

async function readHead(db: Database): Promise<Head> {
  const { rows } = await sql<Head>`
    select last_id::text, encode(hash, 'hex') as hash, archived_id::text, encode(archived_hash, 'hex') as archived_hash
    from tds_audit_head`.execute(db);
  return rows[0] ?? { last_id: '0', hash: '', archived_id: '0', archived_hash: '' };
}

/** Up to the head as it was read: what is written meanwhile is not looked at. */
async function* links(db: Database, head: Head, start: Start): AsyncGenerator<Link> {
  for (let at = start; ; ) {
    const { rows } = await sql<Link>`
      select id::text, encode(hash, 'hex') as hash, lag(id, 1, ${at.id}::bigint) over w as previous,
        hash = sha256(lag(hash, 1, decode(${at.hash}, 'hex')) over w || convert_to(jsonb_build_array(id,
          to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), operator, action, target, result,
          request_id, detail, before, after)::text, 'UTF8')) as fits
      from tds_audit_log where id > ${at.id}::bigint and id <= ${head.last_id}::bigint
      window w as (order by tds_audit_log.id) order by tds_audit_log.id limit ${BATCH}`.execute(db);
    yield* rows;
    const last = rows.at(-1);
    if (!last || rows.length < BATCH) return;
    at = last;
  }
}

function brokenAt({ id, previous }: Link): AuditProblem {
  const gap = BigInt(id) - BigInt(previous) > 1n;
  if (gap) return { id, problem: 'missing', message: `Entries between ${previous} and ${id} were removed.` };
  const message = `Entry ${id} was altered, or the one before it was, together with its hash.`;
  return { id, problem: 'altered', message };
}

function rewritten({ id }: NotedHead): AuditProblem {
  return { id, problem: 'altered', message: `Entry ${id} has another hash than the one noted: the log was rewritten.` };
}

function cutOff(last: string, expected: string): AuditProblem {
  const message = `The log ends with entry ${last}, and should with ${expected}: its end was removed or rewritten.`;
  return { id: expected, problem: 'missing', message };
}

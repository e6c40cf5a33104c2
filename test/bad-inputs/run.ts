/** Runs a table of bad inputs and looks at what each one left behind. */
import type { Test } from 'tap';
import { ask, settled } from '../pipeline/zoho.ts';
import type { System } from '../system.ts';
import type { Answer, Target } from './send.ts';

/**
 * What a case leaves behind: nothing at all, a row of the mirror, a dead letter that keeps its bytes, or a dead letter
 * because a handler failed.
 */
export type Effect = 'nothing' | 'mirrored' | 'quarantined' | 'dead';

export type Case = {
  send(at: Target): Promise<Answer | Answer[]>;
  /** The status of each answer; 0: the connection ends without one. */
  answer: number;
  effect: Effect;
  /** What else the case promises. */
  also?(t: Test, at: Target, answers: Answer[]): Promise<unknown> | unknown;
};

export type Table = Record<string, Case>;

/** Sends one case and checks its answers and its effect. */
export async function runCase(t: Test, system: System, id: string, { send, answer, effect, also }: Case) {
  const at: Target = { system, url: system.api.url, organization: id, t };
  const answers = [await send(at)].flat();
  for (const { status, text } of answers) t.equal(status, answer, text.slice(0, 300));
  await settled(system);
  await EFFECTS[effect](t, at, answers);
  await also?.(t, at, answers);
}

/** Runs a table whose keys are sentences, each under an organization of its own. */
export function runTable(t: Test, system: System, table: Table): void {
  for (const [number, [sentence, one]] of Object.entries(table).entries()) {
    t.test(sentence, (t) => runCase(t, system, `case-${number}`, one));
  }
}

type Check = (t: Test, at: Target, answers: Answer[]) => Promise<void>;

const EFFECTS: Record<Effect, Check> = {
  async nothing(t, at) {
    t.equal(await inboxRows(at), 0, 'nothing is stored');
  },
  async mirrored(t, at) {
    t.ok((await inboxRows(at)) > 0, 'the inbox has it');
    t.same((await records(at)).length, 1, 'the mirror has one row');
    t.same(await deadLettersOf(at), [], 'and nobody has to look at it');
  },
  async quarantined(t, at, answers) {
    const letters = await deadLettersOf(at);
    for (const { text, sent } of answers) {
      const { event_id, status, reason } = JSON.parse(text);
      t.match({ status, reason }, { status: 'quarantined', reason: /^.{10,300}$/ }, 'the answer says why');
      const letter = letters.find((one) => one.event_id === event_id);
      t.match(letter, { kind: 'quarantined', last_error: reason, error_tag: 'ValidationError', payload: null });
      t.ok(Buffer.from(letter?.raw_body_base64 ?? '', 'base64').equals(sent), 'every byte is kept for the operator');
    }
    t.same(await records(at), [], 'the mirror has nothing of it');
  },
  async dead(t, at) {
    t.match(await deadLettersOf(at), [{ kind: 'failed' }], 'one dead letter');
    t.same(await records(at), [], 'and nothing of it in the mirror');
  },
};

export async function inboxRows({ system, organization }: Target): Promise<number> {
  const { rowCount } = await system.pool.query('select from tds_inbox_events where organization_id = $1', [
    organization,
  ]);
  return rowCount ?? 0;
}

export type RecordRow = { module: string; entity_id: string; version: Date; deleted_at: Date; record: string };

/** The mirrored rows of the case, records as text. */
export async function records({ system, organization }: Target): Promise<RecordRow[]> {
  const { rows } = await system.pool.query<RecordRow>(
    'select module, entity_id, version, deleted_at, record::text from books_records where organization_id = $1',
    [organization],
  );
  return rows;
}

export type Letter = { event_id: string; organization_id: string; raw_body_base64: string; last_error: string };

/** The case's open dead letters, as an operator sees them. */
export async function deadLettersOf({ system, organization }: Target): Promise<Letter[]> {
  const latest = await ask<Letter[]>(system, '/dashboard/dead-letter?limit=20');
  return latest.filter((letter) => letter.organization_id === organization);
}

/** The lines of the API's log with this message. */
export function logLines({ api }: System, message: string): string[] {
  return api
    .output()
    .split('\n')
    .filter((line) => line.includes(`"message":"${message}"`));
}

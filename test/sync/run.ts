/** Runs in memory: a definition with nothing of the engine around it. */
import { randomUUID } from 'node:crypto';
import type { Database } from '../../src/db/database.ts';
import { syncDefinitions } from '../../src/sync/definitions.ts';
import { ActivitiesFailed, type Activity, type Json, Postponed, type Run } from '../../src/workflows/workflow.ts';
import type { ZohoClient } from '../../src/zoho/client/client.ts';
import { silentLog } from '../helper.ts';

const ATTEMPTS = 6;

/** A run that may be broken off and resumed: what its activities gave is kept. */
export class MemoryRun implements Run {
  readonly id = randomUUID();
  readonly name: string;
  readonly organizationId: string;
  readonly payload: Json;
  readonly db: Database;
  readonly log = silentLog;
  readonly signal = new AbortController().signal;
  progress = { module: null as string | null, records: 0, records_total: null as number | null, pages: 0, calls: 0 };
  readonly outputs = new Map<string, Json>();
  /** Called before an activity begins; what it throws breaks the run off. */
  before: (activity: string) => void = () => {};
  postponed: string[] = [];
  /** Called each time the run has to wait, with the reason. */
  onPostponed: (reason: string) => Promise<unknown> = async () => {};

  constructor(db: Database, organizationId: string, name: string, payload: Json) {
    this.db = db;
    this.organizationId = organizationId;
    this.name = name;
    this.payload = payload;
  }

  async activity<Fetched, Output extends Json>(name: string, steps: Activity<Fetched, Output>): Promise<Output> {
    if (this.outputs.has(name)) return this.outputs.get(name) as Output;
    this.before(name);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const fetched = await steps.fetch(attempt);
        const output = await this.db.transaction().execute((trx) => steps.write(trx, fetched, undefined as never));
        this.outputs.set(name, JSON.parse(JSON.stringify(output ?? null)));
        return output;
      } catch (error) {
        if (error instanceof Postponed || attempt === ATTEMPTS) throw error;
      }
    }
  }
}

/** What runs of one organization are made with. */
export function runner(db: Database, client: ZohoClient) {
  const definitions = syncDefinitions(db, new Map([[client.organizationId, client]]));
  const find = (name: string) => definitions.find((definition) => definition.name === name);

  /** Goes on with a run until it ends; a run that waits goes on at once. */
  async function resume(run: MemoryRun): Promise<Json> {
    for (;;) {
      try {
        return await (find(run.name)?.run(run as never) ?? Promise.reject(new Error(`no workflow ${run.name}`)));
      } catch (error) {
        if (error instanceof ActivitiesFailed) for (const name of error.activities) run.outputs.delete(name);
        if (!(error instanceof Postponed)) throw error;
        run.postponed.push(error.message);
        await run.onPostponed(error.message);
        await new Promise((resolve) => setTimeout(resolve, Math.min(50, error.seconds * 1000)));
      }
    }
  }

  const start = (name: string, payload: object = {}) =>
    new MemoryRun(db, client.organizationId, name, { organization_id: client.organizationId, ...payload } as Json);

  const run = async <T = Json>(name: string, payload: object = {}) => (await resume(start(name, payload))) as T;

  return { find, start, resume, run };
}

import { type SchemaState, schemaAdvice, schemaState } from '../db/schema-version.ts';
import type { Deps } from './deps.ts';
import { isMissingFromSchema, notMigrated } from './problem.ts';

/** A sender comes again every second or so: one line a minute says as much as sixty. */
const LOG_EVERY_MS = 60_000;

/**
 * Lets deliveries in only when the database has the tables of this release. Asked until the answer was yes once: a
 * release that migrates later must not stop the processes of the one before it.
 */
export class SchemaGate {
  readonly #deps: Pick<Deps, 'db' | 'log'>;
  #isCurrent = false;
  #asking: Promise<SchemaState> | undefined;
  #logged = Number.NEGATIVE_INFINITY;

  constructor(deps: Pick<Deps, 'db' | 'log'>) {
    this.#deps = deps;
  }

  /** Throws a 503 that says what is wrong with the schema; what the question itself throws when the database is away. */
  async demandCurrent(): Promise<void> {
    if (this.#isCurrent) return;
    // Many deliveries at once ask once.
    this.#asking ??= schemaState(this.#deps.db).finally(() => {
      this.#asking = undefined;
    });
    const advice = schemaAdvice(await this.#asking);
    if (advice === undefined) this.#isCurrent = true;
    else this.#refuse(advice);
  }

  /** Throws on what storing a delivery has thrown; a table that has vanished makes the gate ask anew. */
  async blame(error: unknown): Promise<never> {
    const cause = (error as { cause?: unknown } | null)?.cause ?? error;
    if (!isMissingFromSchema(cause)) throw error;
    this.#isCurrent = false;
    await this.demandCurrent();
    throw error;
  }

  #refuse(advice: string): never {
    const now = performance.now();
    if (now - this.#logged >= LOG_EVERY_MS) {
      this.#logged = now;
      this.#deps.log.error({ component: 'webhook', reason: advice }, 'deliveries are refused: wrong schema');
    }
    throw notMigrated();
  }
}

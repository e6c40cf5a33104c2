import { hash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../config.ts';
import type { RejectionCause } from '../inbox/why-rejected.ts';
import type { RejectionCounter } from '../monitor/rejections.ts';
import { moduleFromPath } from '../zoho/modules/modules.ts';
import { causeOf, type WebhookProofs } from './webhook-proof.ts';

/** So many a second are looked at closely: finding out costs as much as a delivery that is accepted. */
const EXAMINED_PER_SECOND = 5;

/** Finds out why deliveries are rejected, and has them counted. */
export class WebhookRejections {
  readonly #config: Config;
  readonly #proofs: WebhookProofs;
  readonly #counter: RejectionCounter;
  #second = 0;
  #examined = 0;

  constructor(config: Config, proofs: WebhookProofs, counter: RejectionCounter) {
    this.#config = config;
    this.#proofs = proofs;
    this.#counter = counter;
  }

  /** Why a delivery whose body was read does not prove itself, and the hash of that body. @param known the cause */
  examine(
    request: FastifyRequest,
    body: Buffer,
    known?: RejectionCause,
  ): { cause: RejectionCause; bytes: number; sha256?: string } {
    const bytes = body.length;
    if (!this.#mayExamine()) return { cause: 'not_examined', bytes };
    return { cause: known ?? this.#causeOf(request, body), bytes, sha256: hash('sha256', body) };
  }

  accepted(): void {
    this.#counter.accepted();
  }

  /** Counts the answer to a delivery if it was rejected. */
  count(request: FastifyRequest, status: number): void {
    const cause = causeOfAnswer(request, status);
    if (cause === undefined) return;
    const { bytes, sha256 } = (request.facts ?? {}) as { bytes?: number; sha256?: string };
    const size = bytes ?? Number(request.headers['content-length']);
    this.#counter.count({
      ...{ cause, path: safePath(request) },
      bytes: Number.isSafeInteger(size) ? size : null,
      sha256: sha256 ?? null,
    });
  }

  #causeOf(request: FastifyRequest, body: Buffer): RejectionCause {
    const { webhookOldSecrets } = this.#config;
    const cause = causeOf(request, body, { ...this.#proofs.ofPath(request), webhookOldSecrets });
    return cause === 'wrong_secret' && this.#proofs.isOfAnyOrganization(request, body) ? 'other_organization' : cause;
  }

  #mayExamine(): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) this.#examined = 0;
    this.#second = second;
    this.#examined += 1;
    return this.#examined <= EXAMINED_PER_SECOND;
  }
}

/** Why a delivery was answered like this; undefined unless it was rejected. */
export function causeOfAnswer({ facts, problem }: FastifyRequest, status: number): RejectionCause | undefined {
  if (status === 401) return (facts as { cause: RejectionCause } | null)?.cause;
  if (status === 413) return 'too_large';
  if (status === 415) return 'wrong_type';
  return problem === 'unexpected_query' ? 'unexpected_query' : undefined;
}

/** The path with what is an id, a module or an action; anybody can send anything else. */
function safePath({ params }: FastifyRequest): string {
  const { organization_id, module, action } = params as Record<string, string | undefined>;
  const shown = (segment: string | undefined, isSafe: boolean) =>
    segment === undefined ? '' : `/${isSafe ? segment : '*'}`;
  return `/webhooks/zoho-books${shown(organization_id, /^\d{1,20}$/.test(organization_id ?? ''))}${shown(
    module,
    moduleFromPath(module ?? '') !== undefined,
  )}${shown(action, /^[a-z_]{1,24}$/.test(action ?? ''))}`;
}

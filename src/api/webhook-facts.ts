import type { Parsed } from '../inbox/parse.ts';
import type { Accepted } from '../inbox/store.ts';
import { moduleFromPath } from '../zoho/modules/modules.ts';
import type { Proof } from './webhook-proof.ts';

/**
 * What a delivery's line in the log says about it. Ids only as ids look, and only of modules we know: the id of an
 * unknown module may be an e-mail address or a tax number. The reason of a quarantine holds no word of the body.
 */
export function factsOf(parsed: Exclude<Parsed, { kind: 'check' }>, stored: Accepted, proof: Proof) {
  const { organizationId, module, entityId } = parsed.kind === 'delivery' ? parsed.delivery : parsed;
  const isKnown = module !== null && moduleFromPath(module)?.name === module;
  return {
    outcome: stored.duplicate ? 'duplicate' : stored.status,
    event_id: stored.eventId,
    organization_id: idLike(organizationId),
    module: isKnown ? module : undefined,
    entity_id: isKnown ? idLike(entityId) : undefined,
    proof: proof.by,
    reason: parsed.kind === 'quarantine' ? parsed.reason : undefined,
    // What the mirror will make less of than the sender may think.
    ...(parsed.kind === 'delivery' && {
      partial: parsed.delivery.partial || undefined,
      unreadable_time: parsed.delivery.unreadableTime ?? undefined,
    }),
  };
}

function idLike(id: string | null): string | undefined {
  if (id === null) return undefined;
  return /^[\w-]{1,40}$/.test(id) ? id : '[not an id]';
}

/** Against mass deletion: a list that Zoho shows only in part must not empty the mirror. */

/** So many deletions are always applied, and so large a part of a module, from 0 to 1. */
const HARMLESS = 10;
const HARMLESS_PART = 0.05;

/** Whether so many deletions at once need an operator's approval. `records`: live ones in the mirror. */
export function needsApproval(deletions: number, records: number): boolean {
  return deletions > HARMLESS && deletions > HARMLESS_PART * records;
}

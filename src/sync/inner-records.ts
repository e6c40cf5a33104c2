/** Records that stand within the records of another module: contact persons in their contact. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { idIn } from '../inbox/ids.ts';
import { readObject, sourceOf } from '../inbox/json-object.ts';
import { sanitise } from '../inbox/scan.ts';
import { elements, type ZohoRecord } from '../zoho/client/records.ts';
import { type InnerModule, innerModules, type PullModule } from '../zoho/modules/pull-modules.ts';

/** It has no version of its own: `within`, the record it stands in, changes without it. */
export type InnerRecord = { id: string; text: string; version: null; within: string };

/** What a module's records hold of other modules. */
export function innerModulesOf({ name }: PullModule): InnerModule[] {
  return innerModules.filter(({ within }) => within === name);
}

/** The records of an inner module within these; what has no id of its own is none. */
export function innerRecords(inner: InnerModule, records: readonly ZohoRecord[]): InnerRecord[] {
  return records.flatMap((record) => (listIn(inner, record) ?? []).flatMap((text) => innerRecord(inner, record, text)));
}

/** Ids of those that have a list of inner records, be it empty: of the others nothing is known. */
export function holdersOf(inner: InnerModule, records: readonly ZohoRecord[]): string[] {
  return records.filter((record) => listIn(inner, record) !== null).map(({ id }) => id);
}

function listIn({ key }: InnerModule, record: ZohoRecord): string[] | null {
  const source = sourceOf(record, key);
  return source?.startsWith('[') ? elements(source) : null;
}

function innerRecord({ idField }: InnerModule, { id: within }: ZohoRecord, element: string): InnerRecord[] {
  const object = element.startsWith('{') ? readObject(element) : null;
  const id = object && idIn(object, idField);
  if (!id) return [];
  const text = object.needsSanitising ? sanitise(object.text) : object.text;
  return [{ id, text, version: null, within }];
}

/** Records that stood in these before and do so no more. */
export async function innerGone(
  db: Kysely<Schema>,
  organizationId: string,
  { name }: InnerModule,
  within: readonly string[],
  now: readonly InnerRecord[],
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select entity_id as id from tds_pull_rows
    where organization_id = ${organizationId} and module = ${name} and within = any (${within}::text[])
      and entity_id <> all (${now.map(({ id }) => id)}::text[])
    order by entity_id`.execute(db);
  return rows.map(({ id }) => id);
}

/** Records that stand within the records of another module: contact persons in their contact. */
import { hash } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { idIn } from '../inbox/ids.ts';
import { readObject, sourceOf } from '../inbox/json-object.ts';
import { sanitise } from '../inbox/scan.ts';
import { elements, type ZohoRecord } from '../zoho/client/records.ts';
import { type InnerModule, innerModulesOf, type PullModule } from '../zoho/modules/pull-modules.ts';

/** It has no version of its own: `within`, the record it stands in, changes without it. */
export type InnerRecord = { id: string; text: string; hash: string; version: null; within: string };

/** The records of an inner module within these, each id once; what has no id of its own is none (`countWithoutId`). */
export function innerRecords(inner: InnerModule, records: readonly ZohoRecord[]): InnerRecord[] {
  const found = records.flatMap((record) =>
    (listIn(inner, record) ?? []).map((text) => innerRecord(inner, record, text)),
  );
  return [...new Map(found.filter((record) => record !== null).map((record) => [record.id, record])).values()];
}

/** How many entries within a record should be records of their own and have no id: they cannot be mirrored. */
export function countWithoutId(module: PullModule, record: ZohoRecord): number {
  const without = (inner: InnerModule) =>
    (listIn(inner, record) ?? []).filter((text) => innerRecord(inner, record, text) === null).length;
  return innerModulesOf(module).reduce((sum, inner) => sum + without(inner), 0);
}

/** Ids of those that have a list of inner records, be it empty: of the others nothing is known. */
export function holdersOf(inner: InnerModule, records: readonly ZohoRecord[]): string[] {
  return records.filter((record) => listIn(inner, record) !== null).map(({ id }) => id);
}

function listIn({ key }: InnerModule, record: ZohoRecord): string[] | null {
  const source = sourceOf(record, key);
  return source?.startsWith('[') ? elements(source) : null;
}

function innerRecord({ idField }: InnerModule, { id: within }: ZohoRecord, element: string): InnerRecord | null {
  const object = element.startsWith('{') ? readObject(element) : null;
  const id = object && idIn(object, idField);
  if (!id) return null;
  const text = object.needsSanitising ? sanitise(object.text) : object.text;
  return { id, text, hash: hash('sha256', object.text), version: null, within };
}

/** Records that stood in these before and do so no more. */
export async function innerGone(
  db: Kysely<Schema>,
  organizationId: string,
  { name }: InnerModule,
  within: readonly string[],
  now: readonly InnerRecord[],
): Promise<{ id: string; within: string }[]> {
  const { rows } = await sql<{ id: string; within: string }>`
    select entity_id as id, within from tds_pull_rows
    where organization_id = ${organizationId} and module = ${name} and within = any (${within}::text[])
      and entity_id <> all (${now.map(({ id }) => id)}::text[])
    order by entity_id`.execute(db);
  return rows;
}

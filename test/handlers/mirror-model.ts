/**
 * What the mirror promises, once more and in plain TypeScript: the reference that random histories are compared with.
 * It knows one entity at a time and nothing of sets.
 */

export type Fields = Record<string, string>;

/** Times and versions are milliseconds since 1970. */
export type Happening = {
  kind: 'record' | 'pointer' | 'delete';
  /** Whether `fields` are those of a full record; one without a version is partial all the same. */
  full: boolean;
  version: number | null;
  receivedAt: number;
  fields: Fields;
};

export type Row = {
  fields: Fields;
  complete: boolean;
  version: number | null;
  receivedAt: number;
  deletedAt: number | null;
  /** What would make the row current again; null when it is. */
  stale: { since: number; version: number | null; receivedAt: number | null } | null;
};

type Step = [outcome: string, row: Row | undefined];

/** What becomes of a row, or of none, by one event. */
export function next(row: Row | undefined, event: Happening): Step {
  if (event.kind === 'delete') return deleted(row, event);
  if (event.kind === 'pointer')
    return row && row.deletedAt === null && isNews(row, event) ? marked(row, event) : ['hint', row];
  const full = event.full && event.version !== null;
  if (row === undefined) return full ? replaced(row, event) : merged(row, event);
  if (row.deletedAt !== null) return onTombstone(row, event, full);
  if (full) return row.complete ? fullOnComplete(row, event) : replaced(row, event);
  return row.complete ? partOnComplete(row, event) : partOnIncomplete(row, event);
}

function deleted(row: Row | undefined, event: Happening): Step {
  const arrival = Math.max(event.receivedAt, event.version ?? 0);
  if (row?.deletedAt != null) return ['unchanged', row];
  const arrivedLater = row !== undefined && Math.max(row.receivedAt, row.stale?.since ?? 0) > event.receivedAt;
  if (arrivedLater && Math.max(row.version ?? 0, row.stale?.version ?? 0) > arrival) return ['stale', row];
  const keeps = row !== undefined && (row.complete || !event.full);
  return [
    'applied',
    {
      fields: keeps ? row.fields : event.fields,
      complete: keeps ? row.complete : event.full,
      version: Math.max(arrival, row?.version ?? 0, row?.stale?.version ?? 0),
      receivedAt: event.receivedAt,
      deletedAt: event.receivedAt,
      stale: null,
    },
  ];
}

function onTombstone(row: Row, event: Happening, full: boolean): Step {
  if (event.version === null) return ['hint', row];
  if (event.version <= (row.version ?? 0)) return ['stale', row];
  if (full) return replaced(row, event);
  return row.complete ? marked(row, event) : merged(row, event);
}

function fullOnComplete(row: Row, event: Happening): Step {
  const [version, stored] = [event.version ?? 0, row.version ?? 0];
  if (version < stored) return ['stale', row];
  if (version > stored) return replaced(row, event);
  const heals = row.stale !== null && makesCurrent(row, event);
  if (same(row.fields, event.fields) && !heals) return ['unchanged', row];
  if (Object.keys(row.fields).some((field) => !(field in event.fields))) return ['hint', row];
  return event.receivedAt < row.receivedAt ? ['stale', row] : replaced(row, event);
}

function partOnComplete(row: Row, event: Happening): Step {
  if (event.version !== null && event.version < (row.version ?? 0)) return ['stale', row];
  if (same(row.fields, event.fields)) return ['unchanged', row];
  return isNews(row, event) ? marked(row, event) : ['hint', row];
}

function partOnIncomplete(row: Row, event: Happening): Step {
  const isNewer = event.version !== null && row.version !== null && event.version > row.version;
  if (isNewer || !same(merge(row, event), row.fields)) return merged(row, event);
  if (event.version !== null && row.version !== null) return [event.version < row.version ? 'stale' : 'unchanged', row];
  return marked(row, event);
}

function replaced(row: Row | undefined, event: Happening): Step {
  const { fields, version, receivedAt } = event;
  const stale = !row?.stale || makesCurrent(row, event) ? null : row.stale;
  return ['applied', { fields, complete: true, version, receivedAt, deletedAt: null, stale }];
}

function merged(row: Row | undefined, event: Happening): Step {
  return [
    'applied',
    {
      fields: merge(row, event),
      complete: false,
      version: later(row?.version, event.version),
      receivedAt: Math.max(row?.receivedAt ?? 0, event.receivedAt),
      deletedAt: null,
      stale: mark(row, event),
    },
  ];
}

function marked(row: Row, event: Happening): Step {
  return ['partial', { ...row, deletedAt: null, stale: mark(row, event) }];
}

function mark(row: Row | undefined, event: Happening): Row['stale'] {
  return {
    since: Math.min(row?.stale?.since ?? event.receivedAt, event.receivedAt),
    version: later(row?.stale?.version, event.version),
    receivedAt: later(row?.stale?.receivedAt, event.version === null ? event.receivedAt : null),
  };
}

function merge(row: Row | undefined, event: Happening): Fields {
  if (!row) return event.fields;
  const isNewer =
    event.version === row.version
      ? event.receivedAt >= row.receivedAt
      : later(row.version, event.version) === event.version;
  return isNewer ? { ...row.fields, ...event.fields } : { ...event.fields, ...row.fields };
}

/** It may know of a state that the row does not. */
function isNews(row: Row, event: Happening): boolean {
  return event.version === null || row.version === null || event.version > row.version;
}

function makesCurrent({ stale }: Row, event: Happening): boolean {
  const isAsNew = stale?.version == null || (event.version ?? 0) >= stale.version;
  return isAsNew && (stale?.receivedAt == null || event.receivedAt > stale.receivedAt);
}

function later(one: number | null | undefined, other: number | null | undefined): number | null {
  const known = [one, other].filter((time) => time != null);
  return known.length > 0 ? Math.max(...known) : null;
}

function same(one: Fields, other: Fields): boolean {
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => one[key] === other[key]);
}

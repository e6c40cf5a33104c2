/** The times of a record that order its versions. */
export type Versioning = {
  /** Last change the body knows of, as an absolute time; null when it carries none that can be read. */
  version: Date | null;
  /** The body carries its own version, not merely the time it was created. */
  versioned: boolean;
  /** `created` when the record has not changed since it was created, else `updated` (a label only). */
  label: 'created' | 'updated';
};

/** Reads last_modified_time, updated_time (payments) and created_time; unreadable ones count as absent. */
export function readVersioning(fields: Record<string, unknown>): Versioning {
  const modified = readTime(fields.last_modified_time) ?? readTime(fields.updated_time);
  const created = readTime(fields.created_time);
  const untouched = modified !== null && modified.getTime() === created?.getTime();
  return { version: modified ?? created, versioned: modified !== null, label: untouched ? 'created' : 'updated' };
}

const ISO_WITH_OFFSET = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z|([+-]\d\d):?(\d\d))$/;

/**
 * A time with its offset, as Zoho writes it (`2026-06-09T09:47:43-0400`). Without an offset it is no instant, and outside
 * these years PostgreSQL and JavaScript write years differently: null.
 */
function readTime(value: unknown): Date | null {
  const parts = typeof value === 'string' ? ISO_WITH_OFFSET.exec(value.trim()) : null;
  if (parts === null) return null;
  const [, local, hours, minutes] = parts;
  const time = new Date(`${local}${hours === undefined ? 'Z' : `${hours}:${minutes}`}`);
  const year = time.getUTCFullYear();
  return year >= 1970 && year <= 9999 ? time : null;
}

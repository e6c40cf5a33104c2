/** The times of a record that order its versions. */
export type Versioning = {
  /** Last change the body knows of, as an absolute time; null when it carries none that can be read. */
  version: Date | null;
  /** The body carries its own version, not merely the time it was created. */
  versioned: boolean;
  /** Name of the field that should say when the record last changed and cannot be read; null when there is none. */
  unreadableTime: string | null;
  /** `created` when the record has not changed since it was created, else `updated` (a label only). */
  label: 'created' | 'updated';
};

const CHANGE_TIMES = ['last_modified_time', 'updated_time'] as const;

/**
 * Reads last_modified_time, else updated_time (payments), else created_time. A time of change that is there but cannot be
 * read is no version: the time of creation in its place would make a new state look old.
 */
export function readVersioning(fields: Record<string, unknown>): Versioning {
  const changeTime = CHANGE_TIMES.find((name) => isFilled(fields[name]));
  const created = readTime(fields.created_time);
  if (changeTime === undefined) return { version: created, versioned: false, unreadableTime: null, label: 'updated' };
  const modified = readTime(fields[changeTime]);
  const untouched = modified !== null && modified.getTime() === created?.getTime();
  return {
    version: modified,
    versioned: modified !== null,
    unreadableTime: modified === null ? changeTime : null,
    label: untouched ? 'created' : 'updated',
  };
}

/** Zoho writes "" or " " for a time that is not set. */
function isFilled(value: unknown): boolean {
  return typeof value === 'string' ? value.trim() !== '' : value !== undefined && value !== null;
}

const ISO_WITH_OFFSET = /^(\d{4}-\d\d-\d\d)T((?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,9})?)(?:Z|([+-]\d\d):?(\d\d))$/;

/**
 * A time with its offset, as Zoho writes it (`2026-06-09T09:47:43-0400`). Without an offset it is no instant, and outside
 * these years PostgreSQL and JavaScript write years differently: null.
 */
function readTime(value: unknown): Date | null {
  const parts = typeof value === 'string' ? ISO_WITH_OFFSET.exec(value.trim()) : null;
  if (parts === null) return null;
  const [, day = '', timeOfDay, hours, minutes] = parts;
  const time = new Date(`${day}T${timeOfDay}${hours === undefined ? 'Z' : `${hours}:${minutes}`}`);
  const year = time.getUTCFullYear();
  return isInCalendar(day) && year >= 1970 && year <= 9999 ? time : null;
}

/** JavaScript reads 2026-02-30 as 2 March. */
function isInCalendar(day: string): boolean {
  const date = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}

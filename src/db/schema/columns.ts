import type { ColumnType } from 'kysely';

/** Written as JSON text, read back parsed (digits beyond 2^53 are lost: select `payload::text` where they matter). */
export type Json = ColumnType<unknown, string | null, string | null>;
export type Timestamp = ColumnType<Date, Date | string, Date | string>;
export type GeneratedTimestamp = ColumnType<Date, Date | string | undefined, Date | string>;
export type OptionalTimestamp = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
export type Optional<T> = ColumnType<T | null, T | null | undefined, T | null>;
export type Bigint = ColumnType<string, string | number | bigint, string | number | bigint>;

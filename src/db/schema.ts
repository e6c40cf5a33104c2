import type { InterventionTables } from './schema/interventions.ts';
import type { MirrorTables } from './schema/mirror.ts';
import type { MonitorTables } from './schema/monitor.ts';
import type { QueueTables } from './schema/queue.ts';
import type { ZohoTables } from './schema/zoho.ts';

export type * from './schema/interventions.ts';
export type * from './schema/mirror.ts';
export type * from './schema/monitor.ts';
export type * from './schema/queue.ts';
export type * from './schema/zoho.ts';

/** The tables as Kysely sees them. Ids and 64-bit numbers are strings (pg), times are Dates, json stays JSON text. */
export type Schema = QueueTables & MonitorTables & MirrorTables & ZohoTables & InterventionTables;

import { behave } from '../behaviour.ts';

/** Invoices may take as long as they like. */
export default { eventTypes: ['invoice.*'], timeoutMs: 3_600_000, handle: behave };

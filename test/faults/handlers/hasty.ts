import { behave } from '../behaviour.ts';

/** Expenses have to be done within half a second. */
export default { eventTypes: ['expense.*'], timeoutMs: 500, handle: behave };

/**
 * For the tests of handlers in a folder outside this repository: they may then import `tds-core` and `kysely`.
 *   node --import /opt/tds_core/src/handlers/preload.ts --test
 */
import { resolveFromHere } from './resolve.ts';

resolveFromHere(process.cwd());

/** A process that calls the stand-in as often as it is told, some at once, and prints how many calls succeeded. */
import { loadConfig } from '../../src/config.ts';
import { openDatabase } from '../../src/db/database.ts';
import { ZohoClient } from '../../src/zoho/client/client.ts';
import { pullModuleNamed } from '../../src/zoho/modules/pull-modules.ts';
import { organizationsOf } from '../../src/zoho/organizations/organizations.ts';
import { KEY, type Orders } from './calling.ts';

const orders: Orders = JSON.parse(process.argv[2] ?? '');
const config = loadConfig(process.env);
const [organization] = organizationsOf(config).list;
if (!organization?.access || !config.databaseUrl) throw new Error('no access');
const { db, close } = openDatabase({ url: config.databaseUrl, max: 4, applicationName: 'caller' });
const client = new ZohoClient({
  ...{ db, key: KEY, organizationId: organization.id, access: organization.access },
  ...{ limits: orders.limits, patienceMs: 60_000 },
});

let begun = 0;
let done = 0;
const lane = async (n: number) => {
  while (begun++ < orders.calls) {
    const turn = { lane: n % 2 === 0 ? 'refetch' : 'backfill' } as const;
    await client.listPage(pullModuleNamed('invoice'), { page: 1, perPage: 1 }, turn);
    done += 1;
  }
};
await Promise.all(Array.from({ length: orders.atOnce }, (_, n) => lane(n)));
await close();
process.stdout.write(String(done));

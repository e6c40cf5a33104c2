/** Clients of the stand-in for tests: in this process, and in processes of their own. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { loadConfig } from '../../src/config.ts';
import type { Database } from '../../src/db/database.ts';
import { type ClientOptions, ZohoClient } from '../../src/zoho/client/client.ts';
import type { ZohoError } from '../../src/zoho/client/errors.ts';
import { organizationsOf } from '../../src/zoho/organizations/organizations.ts';
import type { StandIn } from './stand-in.ts';

/** One key for all clients of a test, as processes of one installation have it. */
export const KEY = Buffer.alloc(32, 7);

export function clientOf(standIn: StandIn, db: Database, options: Partial<ClientOptions> = {}): ZohoClient {
  const [organization] = organizationsOf(loadConfig(standIn.environment)).list;
  if (!organization?.access) throw new Error('the stand-in has no access');
  return new ZohoClient({
    ...{ db, key: KEY, organizationId: organization.id, access: organization.access, patienceMs: 20_000 },
    ...options,
  });
}

/** What a call failed with; undefined when it succeeded. */
export function failureOf(call: Promise<unknown>): Promise<ZohoError | undefined> {
  return call.then(
    () => undefined,
    (error) => error as ZohoError,
  );
}

/** What `caller.ts` is told and what it answers. */
export type Orders = {
  calls: number;
  atOnce: number;
  limits: { callsPerMinute: number; windowMs: number; callsInFlight: number };
};

/** Runs `caller.ts` in a process of its own; resolves with the number of calls that succeeded. */
export function callInProcess(standIn: StandIn, databaseUrl: string, orders: Orders): Promise<number> {
  const script = path.join(import.meta.dirname, 'caller.ts');
  const child = spawn(process.execPath, [script, JSON.stringify(orders)], {
    env: { ...process.env, ...standIn.environment, DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on('close', (code) =>
      code === 0 ? resolve(Number(output)) : reject(new Error(`caller.ts ended with ${code}`)),
    );
  });
}

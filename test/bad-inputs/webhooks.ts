/** The W cases: who may deliver, and deliveries that come again, late or out of order. */
import { readFileSync } from 'node:fs';
import { purge } from '../../src/queue/purge.ts';
import { settled } from '../pipeline/zoho.ts';
import { spawnProcess, startApi } from '../system.ts';
import { invoice, V1, V2 } from './bodies.ts';
import { inboxRows, records, type Table } from './run.ts';
import { type Answer, CURRENT_SECRET, get, PREVIOUS_SECRET, post, postAll, sign, type Target } from './send.ts';

const body = invoice('"total":598');
const unauthentic = { answer: 401, effect: 'nothing' } as const;
const authentic = { answer: 202, effect: 'mirrored' } as const;
const signature = sign(body);

const shiftedQuery = {
  body,
  to: '?name=basicsubscription_id90343',
  signature: sign(`namebasicsubscription_id90343${body}`),
};

export const webhooks: Table = {
  W01: {
    send: (at) => post(at, { body, signature: null }),
    ...unauthentic,
    async also(t, at, [answer]) {
      const wrong = await post(at, { body, signature: 'f'.repeat(64) });
      t.same(withoutRequestId(answer), withoutRequestId(wrong), 'a missing and a wrong signature look alike');
    },
  },
  W02: {
    send: (at) => post(at, { body, signature: sign('something else') }),
    ...unauthentic,
    also: (t, { system }) => t.match(system.api.output(), /"outcome":"rejected"/, 'the log counts it'),
  },
  W03: {
    send: (at) => post(at, { body, signature: signature.slice(0, 63) + (signature.endsWith('0') ? '1' : '0') }),
    ...unauthentic,
    also(t) {
      const source = readFileSync(new URL('../../src/inbox/signature.ts', import.meta.url), 'utf8');
      t.match(source, /timingSafeEqual\(sign\(/, 'the comparison takes the same time for every nibble');
    },
  },
  W04: { send: (at) => post(at, { body, signature: signature.slice(0, 63) }), ...unauthentic },
  W06: {
    send: (at) => post(at, { body, signature: Buffer.from(signature, 'hex').toString('base64') }),
    ...unauthentic,
  },
  W07: { send: (at) => post(at, { body, signature: signature.toUpperCase() }), ...authentic },
  W09: { send: (at) => post(at, { body, signature: '' }), ...unauthentic },
  W11: {
    send: (at) => Promise.all(['', 'too-short'].map((secret) => startWithSecret(at, secret))),
    answer: 0,
    effect: 'nothing',
  },
  W12: {
    send: (at) => post(at, { body, signature: sign(body, PREVIOUS_SECRET) }),
    ...authentic,
    also: (t, { system }) => t.match(system.api.output(), /"proof":"secret_2"/, 'the log says which secret it was'),
  },
  W13: {
    async send(at) {
      const { url } = await startApi(at.t, { DATABASE_URL: at.system.url, ZOHO_WEBHOOK_SECRET: CURRENT_SECRET });
      return post({ ...at, url }, { body, signature: sign(body, PREVIOUS_SECRET) });
    },
    ...unauthentic,
  },
  W15: { send: (at) => post(at, { body: body.replace('598', '599'), signature }), ...unauthentic },
  W18: {
    // Signed for two parameters and sent as one: Zoho's scheme cannot tell. No query is accepted, unless it is asked for.
    send: (at) => post(at, shiftedQuery),
    answer: 400,
    effect: 'nothing',
    async also(t, at) {
      const settings = { DATABASE_URL: at.system.url, ZOHO_WEBHOOK_SECRET: CURRENT_SECRET, WEBHOOK_QUERY: 'allow' };
      const { url } = await startApi(t, settings);
      t.equal((await post({ ...at, url }, shiftedQuery)).status, 202);
      await settled(at.system);
      t.notMatch((await records(at))[0]?.record, /90343/, 'nothing was concluded from the query');
    },
  },
  W20: {
    send: (at) => {
      const fields = { JSONString: body, organization_id: 'ignored: the URL names one' };
      const signed = sign(`JSONString${fields.JSONString}organization_id${fields.organization_id}`);
      const contentType = 'application/x-www-form-urlencoded;charset=UTF-8';
      return post(at, { body: new URLSearchParams(fields).toString(), contentType, signature: signed });
    },
    ...authentic,
  },
  W21: {
    send: (at) => postAll(at, [{ body }, { body }]),
    ...authentic,
    also: (t, at, answers) => isOneEvent(t, at, answers),
  },
  W23: {
    async send(at) {
      const first = await post(at, { body });
      await settled(at.system);
      return [first, await post(at, { body })];
    },
    ...authentic,
    also: (t, at, answers) => isOneEvent(t, at, answers),
  },
  W24: {
    async send(at) {
      const journal = '{"journal":{"journal_id":"1","last_modified_time":"2026-06-09T09:47:43-0400","notes":"x"}}';
      const dies = await post(at, { body: journal });
      await settled(at.system);
      return [dies, await post(at, { body: journal })];
    },
    answer: 202,
    effect: 'dead',
    also: (t, at, answers) => isOneEvent(t, at, answers),
  },
  W25: {
    send: (at) => post(at, { body }),
    ...authentic,
    async also(t, at) {
      const before = await updatedAt(at);
      // A week after its payload has been purged it is still a repeat; later it is new, and older than the row.
      for (const { days, duplicate } of [
        { days: 29, duplicate: true },
        { days: 3, duplicate: false },
      ]) {
        await age(at, days);
        await purge(at.system.pool, 7);
        const again = await post(at, { body });
        await settled(at.system);
        t.match(JSON.parse(again.text), { status: 'queued', duplicate }, `${days} days later`);
      }
      t.same(await updatedAt(at), before, 'neither had an effect');
    },
  },
  W27: {
    send: (at) => post(at, { body: invoice('"total":598', inMinutes(10 * 365 * 24 * 60)) }),
    ...authentic,
    async also(t, at) {
      const [row] = await records(at);
      t.ok(row && row.version.getTime() < Date.now() + 5 * 60_000, 'it counts as of now');
      await post(at, { body: invoice('"total":599', inMinutes(2)) });
      await settled(at.system);
      t.match(await records(at), [{ record: /"total": 599/ }], 'and does not win for ever');
    },
  },
  W28: {
    send: (at) => postAll(at, [{ body: invoice('"total":2', V2) }, { body: invoice('"total":1', V1) }]),
    ...authentic,
    also: async (t, at) => t.match(await records(at), [{ record: /"total": 2/ }]),
  },
  W30: {
    send: (at) => post(at, { body: '{"widget":{"widget_id":"1"}}', to: '/widgets/exploded' }),
    answer: 202,
    effect: 'quarantined',
    async also(t, at) {
      const { text } = await get(at, '/dashboard/queue-stats');
      t.ok(JSON.parse(text).dead_letter > 0, 'and counted');
    },
  },
};

function withoutRequestId(answer: Answer | undefined) {
  const { request_id: _, ...problem } = JSON.parse(answer?.text ?? '{}');
  const { 'x-request-id': __, date: ___, ...headers } = answer?.headers ?? {};
  return { problem, headers };
}

/** Its exit is told as an answer: status 0, and what it said. */
async function startWithSecret({ t, system }: Target, secret: string): Promise<Answer> {
  const { child, output } = spawnProcess(t, 'api', { DATABASE_URL: system.url, ZOHO_WEBHOOK_SECRET: secret });
  const code = await new Promise((resolve) => child.once('close', resolve));
  t.equal(code, 78, 'it refuses to start');
  t.match(output(), /ZOHO_WEBHOOK_SECRET/);
  t.notMatch(output(), /listening/);
  return { status: 0, headers: {}, text: output(), sent: Buffer.alloc(0) };
}

async function isOneEvent(t: Target['t'], at: Target, answers: Answer[]): Promise<void> {
  const [first, second] = answers.map(({ text }) => JSON.parse(text));
  t.match(second, { event_id: first.event_id, duplicate: true });
  t.equal(await inboxRows(at), 1, 'one inbox row');
  const { rows } = await at.system.pool.query('select status from tds_sync_queue where organization_id = $1', [
    at.organization,
  ]);
  t.equal(rows.length, 1, 'one effect');
}

async function updatedAt({ system, organization }: Target): Promise<unknown[]> {
  const { rows } = await system.pool.query(
    'select updated_at, event_id from books_records where organization_id = $1',
    [organization],
  );
  return rows;
}

/** Lets the case's rows grow older. */
async function age({ system, organization }: Target, days: number): Promise<void> {
  const back = `- interval '${days} days'`;
  const statements = [
    `update tds_sync_queue set queued_at = queued_at ${back}, completed_at = completed_at ${back}`,
    `update tds_inbox_events set received_at = received_at ${back}, processed_at = processed_at ${back}`,
  ];
  for (const statement of statements)
    await system.pool.query(`${statement} where organization_id = $1`, [organization]);
  // An id begins with the time of its event. One that is still in the queue keeps it, as the two rows have the same id.
  await system.pool.query(
    `update tds_inbox_events i set event_id = (lpad(to_hex((extract(epoch from received_at) * 1000)::bigint), 12, '0')
       || substr(replace(event_id::text, '-', ''), 13))::uuid
     where organization_id = $1 and not exists (select from tds_sync_queue q where q.id = i.event_id)`,
    [organization],
  );
}

function inMinutes(minutes: number): string {
  return new Date(Date.now() + minutes * 60_000).toISOString().replace(/\.\d+Z$/, '+0000');
}

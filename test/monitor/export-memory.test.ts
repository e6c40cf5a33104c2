/** An export holds a page of rows and about a megabyte of payloads, whatever number of rows there is. */
import type { KyselyPlugin, QueryResult, UnknownRow } from 'kysely';
import t from 'tap';
import type { Database } from '../../src/db/database.ts';
import { exportText } from '../../src/monitor/export/format.ts';
import { columnsOf, exportRows, type Kind, type Row } from '../../src/monitor/export/rows.ts';
import { testDatabase } from '../helper.ts';
import { arrive } from '../queue/engine.ts';

const { db, pool } = await testDatabase(t);
const PAGE = 500;

/** What statements have brought and nobody has taken yet: sizes, in the order in which they came. */
class InFlight {
  readonly #sizes: number[] = [];
  #bytes = 0;
  mostRows = 0;
  mostBytes = 0;
  read = 0;

  /** Only rows of the export: what is looked at in front of a page is none. */
  came(rows: UnknownRow[]): void {
    for (const row of rows.filter((one) => 'payload' in one || 'queue_id' in one)) {
      this.#sizes.push(sizeOf(row));
      this.#bytes += sizeOf(row);
    }
    this.mostRows = Math.max(this.mostRows, this.#sizes.length);
    this.mostBytes = Math.max(this.mostBytes, this.#bytes);
  }

  taken(): void {
    this.#bytes -= this.#sizes.shift() ?? 0;
    this.read += 1;
  }
}

function sizeOf(row: object): number {
  return JSON.stringify(row).length;
}

/** Reads an export to its end, slowly: each row is taken before the next one is asked for. */
async function read(kind: Kind): Promise<InFlight> {
  const inFlight = new InFlight();
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    async transformResult({ result }): Promise<QueryResult<UnknownRow>> {
      inFlight.came(result.rows);
      return result;
    },
  };
  const counted = db.withPlugin(plugin) as Database;
  async function* taken(): AsyncGenerator<Row> {
    for await (const row of exportRows(counted, kind, {})) {
      inFlight.taken();
      yield row;
    }
  }
  for await (const _ of exportText(taken(), { format: 'jsonl', columns: columnsOf(kind), unmask: false }));
  return inFlight;
}

const addLogs = (count: number) =>
  pool.query(
    `insert into tds_sync_logs (queue_id, attempt, status, duration_ms, worker_id, created_at)
     select gen_random_uuid(), 1, 'completed', 1, gen_random_uuid(), now() - n * interval '1 second' from generate_series(1, $1::int) n`,
    [count],
  );

t.test('no more rows are read ahead with many rows than with few', async (t) => {
  await addLogs(1500);
  const few = await read('logs');
  await addLogs(4500);
  const many = await read('logs');
  t.same([few.read, many.read], [1500, 6000]);
  t.ok(few.mostRows <= PAGE, `${few.mostRows}`);
  t.ok(many.mostRows <= PAGE, `${many.mostRows}`);
});

t.test('large payloads are read a megabyte at a time', async (t) => {
  const record = Buffer.from(JSON.stringify({ invoice_id: '1', notes: 'x'.repeat(200_000) }));
  const entities = Array.from({ length: 60 }, (_, n) => `${n}`);
  await arrive(pool, entities, { record });
  const events = await read('pending');
  t.equal(events.read, 60);
  t.ok(events.mostBytes > 200_000, 'the payloads are counted');
  t.ok(events.mostBytes < 2_500_000, `${events.mostBytes} bytes of 12,000,000 at once`);
});

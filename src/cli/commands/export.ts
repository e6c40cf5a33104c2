import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Command, Context } from '../command.ts';
import { UsageError } from '../command.ts';
import { readTime } from '../since.ts';
import { withQuery } from '../transport.ts';

const KINDS = ['events', 'pending', 'failed', 'dead_letters', 'runs', 'logs', 'audit'];
const FORMATS = ['csv', 'json', 'jsonl'];

export const exportCommand: Command = {
  name: 'export',
  summary: 'Write events, runs, logs or the audit log to a file; personal data is redacted',
  examples: [
    'tds export pending --out pending.csv',
    'tds export --failed-only --before 30d --out archive.csv',
    'tds export runs --since 30d --out runs.csv',
    'tds export dead_letters --format jsonl --out - | jq .error_tag',
  ],
  args: [['[what]', `${KINDS.join(', ')} (default: events)`]],
  options: [
    ['--out <file>', 'where to; - is stdout (default: -)'],
    ['--format <format>', `${FORMATS.join(', ')} (default: csv)`],
    ['--failed-only', 'the same as failed'],
    ['--since <time>', 'since then, such as 7d'],
    ['--before <time>', 'before then, such as 30d'],
    ['--unmask', 'with personal data; for admins, and audited'],
  ],
  async run(context, [what = context.options.failedOnly ? 'failed' : 'events']) {
    const { options } = context;
    const format = (options.format as string) ?? 'csv';
    if (!KINDS.includes(what)) throw new UsageError(`${what} cannot be exported: there are ${KINDS.join(', ')}`);
    if (!FORMATS.includes(format)) throw new UsageError(`--format takes ${FORMATS.join(', ')}`);
    const path = withQuery('/dashboard/export', {
      ...{ what, format, ...(options.unmask ? { unmask: true } : {}) },
      since: readTime('since', options.since as string | undefined)?.toISOString(),
      before: readTime('before', options.before as string | undefined)?.toISOString(),
    });
    const chunks = await (await context.api()).stream(path);
    const out = (options.out as string) ?? '-';
    const bytes = out === '-' ? await toStdout(context, chunks) : await toFile(context, chunks, out);
    return { data: { what, format, bytes, out }, text: '', silent: out === '-' };
  },
};

async function toStdout({ io }: Context, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  const decoder = new TextDecoder();
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    await io.out(decoder.decode(chunk, { stream: true }));
  }
  return bytes;
}

/** Readable by this account alone, until somebody decides otherwise. */
async function toFile({ io, say }: Context, chunks: AsyncIterable<Uint8Array>, out: string): Promise<number> {
  const file = createWriteStream(out, { mode: 0o600 });
  await once(file, 'open');
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (!file.write(chunk)) await once(file, 'drain');
    if (io.tty.err) io.err(`\r${(bytes / 1_000_000).toFixed(1)} MB `);
  }
  file.end();
  await once(file, 'close');
  if (io.tty.err) io.err('\r');
  say(`${bytes} bytes in ${out}`);
  return bytes;
}

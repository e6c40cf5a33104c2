/** Resident memory of the API while it exports every event over HTTP as CSV. */
import http from 'node:http';
import { setInterval } from 'node:timers';
import { buildApp } from '../../src/api/app.ts';
import { listen } from '../../src/api/server.ts';
import { loadConfig } from '../../src/config.ts';
import { log, open } from '../engine.ts';
import { side } from '../side.ts';
import { median } from '../stats.ts';

export type Exported = {
  rows: number;
  megabytes: number;
  seconds: number;
  idleMb: number;
  maxMb: number;
  firstHalfMb: number;
  secondHalfMb: number;
};

const SAMPLE_MS = 100;
const rss = () => process.memoryUsage.rss() / 1e6;

side<{ url: string }, Exported>(async ({ url }) => {
  const { db, pool } = open(url, 4, false);
  const inbox = { accept: () => Promise.reject(new Error('no webhooks here')) };
  const api = await buildApp({ config: loadConfig({}), log, db, pool, inbox });
  const address = await listen(api, { host: '127.0.0.1', port: 0 });
  await read(`${address}/dashboard/queue-stats`);
  const idleMb = rss();
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(rss()), SAMPLE_MS);
  const started = performance.now();
  const { bytes, lines } = await read(`${address}/dashboard/export?what=events&format=csv`);
  const seconds = (performance.now() - started) / 1000;
  clearInterval(timer);
  const half = Math.floor(samples.length / 2);
  return {
    ...{ rows: lines - 1, megabytes: bytes / 1e6, seconds, idleMb, maxMb: Math.max(...samples) },
    firstHalfMb: median(samples.slice(Math.floor(half / 5), half)),
    secondHalfMb: median(samples.slice(half)),
  };
});

/** Takes an answer and forgets it. @throws Error when it is cut off */
async function read(address: string): Promise<{ bytes: number; lines: number }> {
  const response = await new Promise<http.IncomingMessage>((resolve, reject) =>
    http.get(address, resolve).once('error', reject),
  );
  let [bytes, lines] = [0, 0];
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines += 1;
  }
  return { bytes, lines };
}

import { readFileSync } from 'node:fs';

/** The bytes of one file of test/samples: bodies recorded from Zoho Books, values invented. */
export function sampleBody(name: string): Buffer {
  return readFileSync(new URL(`samples/${name}.json`, import.meta.url));
}

/** One file of test/samples as an object. */
export function sample(name: string) {
  return JSON.parse(sampleBody(name).toString('utf8'));
}

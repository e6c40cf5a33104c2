/** Readers of the settings that say where traces and reports go. */

/** A receiver of telemetry, usually on this machine or near it. */
export function collectorUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:')
    throw new Error('must be a URL such as http://127.0.0.1:4318');
  if (url.username || url.password || url.search || url.hash)
    throw new Error('must have no user name, password, ? or #');
  return value;
}

/** Of the form that Sentry shows under 'Client Keys'. */
export function sentryDsn(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isWhole = url && /^https?:$/.test(url.protocol) && url.username && /\/\d+$/.test(url.pathname);
  if (!isWhole || url.password || url.search || url.hash)
    throw new Error('must look like https://key@sentry.example.com/1');
  return value;
}

/** 'name=value', comma separated, each percent-encoded where it has to be, as OpenTelemetry has it. */
export function headers(value: string): Record<string, string> {
  const pairs = value.split(',').map((pair) => {
    const [, name = '', text = ''] = /^\s*([\w-]+)\s*=(.*)$/s.exec(pair) ?? [];
    return [name, decoded(text.trim())] as const;
  });
  if (!pairs.every(([name, text]) => name !== '' && text !== undefined && /^[\x20-\x7e]+$/.test(text)))
    throw new Error('must be a list of name=value, comma separated, such as authorization=Bearer%20…');
  return Object.fromEntries(pairs) as Record<string, string>;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

export function share(value: string): number {
  if (!/^(0(\.\d{1,9})?|1(\.0{1,9})?)$/.test(value)) throw new Error('must be a number from 0 to 1, such as 0.1');
  return Number(value);
}

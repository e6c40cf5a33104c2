/** Reads operations-guide.md: the commands an operator types, and the answers the guide prints for them. */
import { readFileSync } from 'node:fs';

export type Block = {
  /** The heading it stands under. */
  section: string;
  /** Section and number in it. */
  name: string;
  language: string;
  /** As printed, without the answers in between. */
  commands: string;
  /** `/dashboard/metrics`, where the guide names a GET endpoint. */
  endpoint: string | undefined;
  /** The JSON that the guide prints as the answer; `[...]` and `{...}` are read as empty. */
  answer: unknown;
};

const FENCE = /^```(\w+)\n([\s\S]*?)^```$/gm;
const ANSWER_AMONG_COMMANDS = /^# (?:Expected r|R)esponse:\n(\{[\s\S]*?^\})\n?/m;

/** The guide's blocks, in its order. */
export function readGuide(): Block[] {
  const guide = readFileSync(new URL('operations-guide.md', import.meta.url), 'utf8');
  const parts = guide.split(/^(?=#{2,4} )/m);
  return parts.flatMap((part) => [...part.matchAll(FENCE)].map((match, index) => toBlock(part, match, index + 1)));
}

function toBlock(part: string, [, language = '', body = '']: RegExpMatchArray, number: number): Block {
  const section = /^#+ (?:\d\. |Problem: )?(.*)/.exec(part)?.[1] ?? '';
  const endpoint = /^\*\*Endpoint:\*\* `GET (\S+)`/m.exec(part)?.[1];
  const printed = language === 'json' ? body : ANSWER_AMONG_COMMANDS.exec(body)?.[1];
  const commands = language === 'json' ? '' : body.replace(ANSWER_AMONG_COMMANDS, '');
  return { section, name: `${section} ${number}`, language, commands, endpoint, answer: printed && readJson(printed) };
}

function readJson(printed: string): unknown {
  return JSON.parse(printed.replaceAll('[...]', '[]').replaceAll('{...}', '{}'));
}

/** What `actual` lacks of what the guide prints: every key must be there, with a value of the same kind or null. */
export function differences(printed: unknown, actual: unknown, path = 'answer'): string[] {
  if (printed === null || actual === null) return [];
  if (Array.isArray(printed)) return listDifferences(printed, actual, path);
  if (typeof printed !== typeof actual) return [`${path} is ${typeof actual}, printed as ${typeof printed}`];
  if (typeof printed !== 'object') return [];
  return Object.entries(printed).flatMap(([key, value]) => {
    if (!Object.hasOwn(actual as object, key)) return [`${path}.${key} is missing`];
    return differences(value, (actual as Record<string, unknown>)[key], `${path}.${key}`);
  });
}

function listDifferences([pattern]: unknown[], actual: unknown, path: string): string[] {
  if (!Array.isArray(actual)) return [`${path} is no list`];
  if (pattern === undefined) return [];
  if (actual.length === 0) return [`${path} is empty, so nothing could be compared`];
  return actual.flatMap((element, index) => differences(pattern, element, `${path}[${index}]`));
}

import { currentSpan, type Span, startSpan } from '../tracing.ts';

const MAX_TEXT = 2000;

/**
 * A span for a statement that is about to be sent, in the course of which there is something to be traced: what the
 * process does by the clock gets none.
 */
export function startStatementSpan(query: unknown): Span | undefined {
  if (currentSpan() === undefined) return undefined;
  const { text, name } = described(query);
  const operation = /^\W*(\w+)/.exec(text)?.[1]?.toUpperCase() ?? 'SQL';
  return startSpan(name ?? operation, {
    kind: 'client',
    attributes: {
      'db.system.name': 'postgresql',
      'db.operation.name': operation,
      'db.query.text': withoutValues(text)?.slice(0, MAX_TEXT),
    },
  });
}

function described(query: unknown): { text: string; name?: string } {
  if (typeof query === 'string') return { text: query };
  const { text, name } = (query ?? {}) as { text?: unknown; name?: unknown };
  return { text: typeof text === 'string' ? text : '', ...(typeof name === 'string' && { name }) };
}

/** Where a literal ends is hard to say in these: escapes, dollar quotes and comments, which may hold quotes. */
const HARD_TO_READ = /\\|\$\w*\$|--|\/\*/;

/**
 * A statement with ? in place of its literals; parameters are values that it does not hold. A handler may write values
 * into its text, so of one that is hard to read nothing is told.
 */
export function withoutValues(text: string): string | undefined {
  if (HARD_TO_READ.test(text)) return undefined;
  return text.replace(/\$\d+|[A-Za-z_]\w*|"[^"]*"|'[^']*'?|\d[\w.]*/g, (token) =>
    token.startsWith("'") || /^\d/.test(token) ? '?' : token,
  );
}

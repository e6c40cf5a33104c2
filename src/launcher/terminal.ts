import { styleText } from 'node:util';
import { renderLine } from './render.ts';

type Style = Parameters<typeof styleText>[0];

/** Colour on a terminal, unless NO_COLOR asks for none (styleText looks at both); plain text in a file or a pipe. */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

const STYLES: Record<string, Style> = { warn: 'yellow', error: 'red', fatal: ['red', 'bold'] };

/** Levels that are shown again at the end of a start. */
const NOTABLE = new Set(['warn', 'error', 'fatal']);

/** What the processes say, line by line, each behind its name; remembers what a start warned of. */
export class Terminal {
  readonly #warnings = new Set<string>();
  #starting = true;

  /** A line of a process: a log line is made readable, anything else stays as it is. */
  print(name: string, line: string): void {
    const { text, level = '' } = renderLine(line);
    if (this.#starting && NOTABLE.has(level)) this.#warnings.add(`${name}: ${withoutTime(text)}`);
    this.#write(name, text, STYLES[level]);
  }

  /** A sentence of the launcher's own. */
  say(sentence: string): void {
    this.#write('tds', sentence);
  }

  warn(sentence: string): void {
    if (this.#starting) this.#warnings.add(sentence);
    this.#write('tds', sentence, STYLES.warn);
  }

  /** A block of text as it is, between empty lines. */
  show(text: string): void {
    process.stdout.write(`\n${text}\n\n`);
  }

  /** Ends the start: shows what was warned of so far, each once, where it is seen. */
  repeatWarnings(): void {
    this.#starting = false;
    if (this.#warnings.size === 0) return;
    const list = [...this.#warnings].map((warning) => styled('yellow', `  ${warning}`));
    process.stdout.write(`${[styled(['yellow', 'bold'], 'Warnings'), ...list].join('\n')}\n\n`);
    this.#warnings.clear();
  }

  #write(name: string, text: string, style?: Style): void {
    for (const part of text.split('\n')) {
      const shown = style ? styled(style, part) : part;
      process.stdout.write(`${styled('dim', `${name.padEnd(6)} |`)} ${shown}\n`);
    }
  }
}

/** Without time, level and stack: the same warning twice is one. */
function withoutTime(text: string): string {
  const lines = text.split('\n').filter((line) => !line.startsWith('    at '));
  return lines.join('\n').replace(/^\d\d:\d\d:\d\d \w+ +/, '');
}

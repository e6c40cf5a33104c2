/**
 * Structured logs: one JSON object per line with timestamp, level, service, component, message and metadata.
 *
 *   log.info({ component: 'inbox', event_id, bytes }, 'webhook accepted');
 *
 * `component` stands at the top, everything else under `metadata`; the message is a constant, so that it can be counted.
 */
import pino from 'pino';
import { ConfigError, EXIT_CONFIG, logsToJournal } from './config.ts';
import { cleanMetadata } from './log-clean.ts';
import { LineWriter } from './log-writer.ts';

export type Logger = pino.Logger;

type Fields = Record<string, unknown>;
type MakeChild = (this: Logger, bindings: object, options: pino.ChildLoggerOptions) => Logger;

export type LogOptions = {
  /** File descriptor to write to; default 1, stdout. */
  fd?: number;
  /** Begin each line with journald's `<N>` priority; default: when systemd connected stdout to the journal. */
  journald?: boolean;
};

/** Default levels of pino to syslog priorities, as journald reads them at the start of a line (sd-daemon(3)). */
const PRIORITIES: Record<number, number> = { 10: 7, 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };

/** pino hands the level of a line to streams that carry this symbol. */
const NEEDS_METADATA = Symbol.for('pino.metadata');

/** Creates the logger of a process. `service` is its systemd unit; `level` is LOG_LEVEL. */
export function createLogger(service: string, level = 'info', options: LogOptions = {}): Logger {
  const root = pino(
    {
      level,
      base: { service },
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }), log: (fields) => arrange(fields as Fields) },
      // `log.error(error, 'message')`: pino files the bare error under this key, and cleanMetadata() prints it.
      errorKey: 'error',
      serializers: { error: (error: unknown) => error },
    },
    outputOf(options),
  );
  return nestChildren(root, {}, root.child);
}

let lastWord: ((error: unknown) => Promise<unknown>) | undefined;

/** What a dying process does after its last line, before it ends; it must come to an end soon. */
export function beforeFatalExit(report: (error: unknown) => Promise<unknown>): void {
  lastWord = report;
}

/**
 * Makes whatever escapes every catch the last line of the log, at level fatal, and ends the process: with EXIT_CONFIG
 * when settings cannot be used, else with 1. Without this Node prints a stack of several lines to stderr, which
 * journald stores at level info.
 * @param isContained says that an error is somebody's who has been told: then the process goes on
 */
export function exitOnFatalErrors(log: Logger, isContained: (error: unknown) => boolean = () => false): void {
  const die = (message: string) => (error: unknown) => {
    if (isContained(error)) return;
    if (error instanceof ConfigError) {
      log.fatal({ component: 'process', problems: error.problems }, 'the configuration cannot be used');
      process.exit(EXIT_CONFIG);
    }
    log.fatal({ component: 'process', error }, message);
    // Whatever escapes while that is on its way ends the process at once.
    const report = lastWord;
    lastWord = undefined;
    if (report === undefined) process.exit(1);
    report(error)
      .catch(() => {})
      .finally(() => process.exit(1));
  };
  process.on('uncaughtException', die('uncaught exception'));
  process.on('unhandledRejection', die('unhandled rejection'));
}

function outputOf({ fd = 1, journald = logsToJournal() }: LogOptions): pino.DestinationStream {
  const writer = new LineWriter(fd);
  const stream = {
    [NEEDS_METADATA]: true,
    lastLevel: 30,
    write(line: string) {
      writer.write(line, journald ? `<${PRIORITIES[this.lastLevel] ?? 6}>` : '');
    },
  };
  return stream;
}

/** Splits the fields of a line into `component` and the rest. */
function arrange(fields: Fields, context: Fields = {}): Fields {
  const { component, ...metadata } = { ...context, ...fields };
  const nested = Object.keys(metadata).length === 0 ? {} : { metadata: cleanMetadata(metadata) };
  return component === undefined ? nested : { component, ...nested };
}

/**
 * pino writes a child's bindings at the top level of each line; ours belong under `metadata`. So a child gets no
 * bindings but a formatter that merges them into the fields of each line.
 */
function nestChildren(logger: Logger, context: Fields, makeChild: MakeChild): Logger {
  const child = (bindings: Fields, options: pino.ChildLoggerOptions = {}) => {
    const merged = { ...context, ...bindings };
    const log = (fields: object) => arrange(fields as Fields, merged);
    return nestChildren(makeChild.call(logger, {}, { ...options, formatters: { log } }), merged, makeChild);
  };
  return Object.assign(logger, { child });
}

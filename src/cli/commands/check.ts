import type { Command, Context, Result } from '../command.ts';
import { readList } from '../pages.ts';
import { Refused, Unreachable } from '../transport.ts';
import { type Metrics, pauseWords } from './status.ts';

/** Exit codes of a monitoring plugin: https://www.monitoring-plugins.org/doc/guidelines.html */
const WORDS = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const;

type Finding = { name: string; value: number; unit: string; warn: number; crit: number; level: number };

/** The bands of the operations guide: pending below 100 is normal, above 500 critical, and so on. */
const PENDING = [100, 500] as const;
const DEAD_LETTERS = [10, 50] as const;
const SUCCESS_PERCENT = [95, 90] as const;
const PROCESSING_SECONDS = 300;
const MOST_IN_HAND = 2000;

export const checkCommand: Command = {
  name: 'check',
  summary: 'One line for Nagios, Icinga or cron: exit code 0 OK, 1 warning, 2 critical, 3 unknown',
  examples: ['tds check', 'tds check || mail -s "TDS Core" ops@example.com'],
  reads: true,
  async run(context) {
    try {
      return await check(context);
    } catch (error) {
      if (error instanceof Unreachable || (error instanceof Refused && error.status >= 500))
        return said(2, error.message, []);
      if (error instanceof Refused) return said(3, error.message, []);
      throw error;
    }
  },
};

async function check({ api }: Context): Promise<Result> {
  const transport = await api();
  const metrics = (await transport.get('/dashboard/metrics')) as Metrics;
  const { by_status, dead_letter_count, pause } = metrics.queue;
  const seconds = await longestInHand(transport);
  const findings = [
    above('pending', by_status.pending, '', PENDING),
    above('dead_letters', dead_letter_count, '', DEAD_LETTERS),
    below('success_rate', metrics.processing.last_hour.success_rate_percent, '%', SUCCESS_PERCENT),
    above('processing_unchanged', seconds, 's', [PROCESSING_SECONDS, Number.POSITIVE_INFINITY]),
  ];
  const noWorker = metrics.workers.alive === 0;
  const level = Math.max(
    noWorker ? 2 : 0,
    pauseWords(pause).length > 0 ? 1 : 0,
    ...findings.map((finding) => finding.level),
  );
  const words = [
    ...(noWorker ? ['no worker is alive'] : []),
    ...pauseWords(pause),
    ...findings.filter((finding) => finding.level > 0).map(({ name, value, unit }) => `${name} ${value}${unit}`),
  ];
  return said(level, words.join(', ') || `${by_status.pending} pending, ${dead_letter_count} dead letters`, findings);
}

/** "Stuck at the same number": what is in hand longest has been there for so many seconds. */
async function longestInHand(transport: Awaited<ReturnType<Context['api']>>): Promise<number> {
  const inHand = await readList<{ started_at: string | null }>(transport, '/dashboard/recent-events', {
    limit: MOST_IN_HAND,
    query: { status_filter: 'processing' },
  });
  const ages = inHand.map(({ started_at }) => (started_at ? (Date.now() - Date.parse(started_at)) / 1000 : 0));
  return Math.max(0, Math.round(Math.max(0, ...ages)));
}

function above(name: string, value: number, unit: string, [warn, crit]: readonly [number, number]): Finding {
  return { name, value, unit, warn, crit, level: value > crit ? 2 : value >= warn ? 1 : 0 };
}

function below(name: string, value: number, unit: string, [warn, crit]: readonly [number, number]): Finding {
  return { name, value, unit, warn, crit, level: value < crit ? 2 : value <= warn ? 1 : 0 };
}

function said(level: number, words: string, findings: Finding[]): Result {
  // A range of the guidelines: `100` alerts above 100, `95:` alerts below 95.
  const range = ({ name, warn, crit }: Finding) =>
    [warn, crit]
      .map((limit) => (Number.isFinite(limit) ? `${limit}${name === 'success_rate' ? ':' : ''}` : ''))
      .join(';');
  const perfdata = findings.map((finding) => `${finding.name}=${finding.value}${finding.unit};${range(finding)}`);
  const status = WORDS[level] ?? 'UNKNOWN';
  const text = `TDS ${status} - ${words}${perfdata.length > 0 ? ` | ${perfdata.join(' ')}` : ''}\n`;
  const values = Object.fromEntries(findings.map(({ name, value }) => [name, value]));
  return { data: { status, message: words, ...values }, text, exitCode: level };
}

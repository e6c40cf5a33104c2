/** What a receiver gets: type, timestamp and data as Standard Webhooks has them, and `text`, which Slack shows. */
import type { NoticeKind } from '../../db/schema.ts';
import type { AlertNotice, LifecycleNotice } from '../alerts/outbox.ts';
import { describeRule, isSeverer, labelsKey, RULES } from '../alerts/rules.ts';

export type Message = { type: string; timestamp: string; text: string; data: Record<string, unknown> };

/** Where the receivers of messages find us. */
export type Places = {
  /** TDS_PUBLIC_URL, or what the API listens on: the beginning of every `curl`. */
  publicUrl: string;
  /** RUNBOOK_URL. */
  runbookUrl: string;
};

export type Entry = { created_at: Date; body: unknown };

/** So many are written out; of the others the number is told. */
const MAX_SHOWN = 10;

/** One message for all entries of a kind, however many. */
export function compose(kind: NoticeKind, entries: readonly Entry[], places: Places, now: Date): Message {
  if (kind === 'alert')
    return alertMessage(
      entries.map(({ body }) => body as AlertNotice),
      places,
      now,
    );
  if (kind === 'lifecycle') return lifecycleMessage(entries, places, now);
  const body = entries.at(-1)?.body as Message;
  return { ...body, timestamp: now.toISOString() };
}

function alertMessage(all: AlertNotice[], places: Places, now: Date): Message {
  const latest = new Map(all.map((notice) => [`${conditionOf(notice)} ${labelsKey(notice.labels)}`, notice]));
  const notices = [...latest.values()].sort(bySeverity);
  const alerts = notices.map((notice) => ({
    ...notice,
    ...advice(notice.rule, places),
    acknowledge: acknowledge(notice, places),
  }));
  const change = (['firing', 'reminder', 'resolved'] as const).find((one) =>
    notices.some((notice) => notice.change === one),
  );
  const shown = alerts.slice(0, MAX_SHOWN).map(paragraph);
  const head = alerts.length > 1 ? [`*TDS Core: ${alerts.length} alerts*`] : [];
  return {
    type: `alert.${change ?? 'firing'}`,
    timestamp: now.toISOString(),
    text: [...head, ...shown, ...more(alerts.length)].join('\n\n'),
    data: { count: alerts.length, alerts },
  };
}

/** Of several severities of one condition the last word counts. */
function conditionOf({ rule }: AlertNotice): string {
  return RULES.find((one) => one.rule === rule)?.condition ?? rule;
}

function bySeverity(a: AlertNotice, b: AlertNotice): number {
  if ((a.change === 'resolved') !== (b.change === 'resolved')) return a.change === 'resolved' ? 1 : -1;
  return isSeverer(a.severity, b.severity) ? -1 : isSeverer(b.severity, a.severity) ? 1 : 0;
}

type Advice = { likely_cause: string; command: string; runbook_step: string; runbook_url: string };

function advice(rule: string, { publicUrl, runbookUrl }: Places): Advice {
  const { cause, look, step } = describeRule(rule);
  return {
    likely_cause: cause,
    command: `curl -s '${publicUrl}${look}'`,
    runbook_step: step,
    runbook_url: `${runbookUrl}#${rule}`,
  };
}

function acknowledge({ id }: AlertNotice, { publicUrl }: Places): string {
  return `curl -X POST '${publicUrl}/dashboard/alerts/${id}/acknowledge'`;
}

const WORDS = { firing: '', reminder: 'STILL ', resolved: 'RESOLVED, was ' };

function paragraph(alert: AlertNotice & Advice & { acknowledge: string }): string {
  const head = `*[${WORDS[alert.change]}${alert.severity.toUpperCase()}] ${alert.title}* since ${alert.since}`;
  if (alert.change === 'resolved') return `${head}\n${escaped(alert.message)}`;
  const flapping = alert.flapping ? ['It comes and goes: it ends only after ten calm minutes.'] : [];
  return [head, escaped(alert.message), ...flapping, ...lines(alert), `Acknowledge: ${alert.acknowledge}`].join('\n');
}

function lines({ likely_cause, command, runbook_step, runbook_url }: Advice): string[] {
  return [`Likely cause: ${likely_cause}`, `Look: ${command}`, `Runbook: ${runbook_step} ${runbook_url}`];
}

const LIFECYCLE = {
  'dead_letter.opened': {
    one: 'event became a dead letter',
    many: 'events became dead letters',
    anchor: 'dead_letter',
  },
  'workflow.failed': { one: 'workflow failed', many: 'workflows failed', anchor: 'workflow_failed' },
} as const;

function lifecycleMessage(entries: readonly Entry[], places: Places, now: Date): Message {
  const groups = grouped(entries.map(({ body }) => body as LifecycleNotice));
  const since = new Date(Math.min(...entries.map(({ created_at }) => created_at.getTime()))).toISOString();
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  const [first] = groups;
  const type = groups.every((group) => group.type === first?.type) ? (first?.type ?? 'lifecycle') : 'lifecycle';
  const told = groups.map((group) => ({ ...group, ...lifecycleAdvice(group, places) }));
  const head = `*TDS Core: ${count} ${WORD(type, count)}* since ${since}`;
  const shown = told.slice(0, MAX_SHOWN).map((group) => {
    const { one, many } = LIFECYCLE[group.type];
    const kinds = escaped(`${group.error_tag}: ${group.event_types.join(', ')}`);
    return [`${group.count} ${group.count === 1 ? one : many} (${kinds})`, ...lines(group)].join('\n');
  });
  const text = [head, ...shown, ...more(told.length)].join('\n\n');
  return { type, timestamp: now.toISOString(), text, data: { count, since, groups: told } };
}

function WORD(type: string, count: number): string {
  const words = LIFECYCLE[type as keyof typeof LIFECYCLE];
  if (!words) return 'dead letters and failed workflows';
  return count === 1 ? words.one : words.many;
}

function grouped(notices: LifecycleNotice[]): LifecycleNotice[] {
  const groups = new Map<string, LifecycleNotice>();
  for (const notice of notices) {
    const key = `${notice.type} ${notice.error_tag}`;
    const { count, event_types, example_ids } = groups.get(key) ?? { count: 0, event_types: [], example_ids: [] };
    groups.set(key, {
      ...notice,
      count: count + notice.count,
      event_types: [...new Set([...event_types, ...notice.event_types])].slice(0, 5),
      example_ids: [...example_ids, ...notice.example_ids].slice(0, 3),
    });
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}

const CAUSES: Record<string, string> = {
  ValidationError: 'the data was rejected: an error in the data or in a handler. A retry fails again.',
  ConflictError: 'the data contradicts what the other side has. A retry fails again.',
  RateLimitError: 'the other side allows fewer calls.',
  InternalServerError: 'what the handlers call had an outage.',
  ServiceUnavailableError: 'what the handlers call had an outage.',
  TimeoutError: 'what the handlers call, or the database, was too slow.',
  NetworkError: 'the network, or what the handlers call, was away.',
};

function lifecycleAdvice({ type, error_tag, example_ids }: LifecycleNotice, { publicUrl, runbookUrl }: Places): Advice {
  const ofWorkflow = type === 'workflow.failed';
  const look = ofWorkflow ? `/dashboard/workflows/${example_ids[0] ?? ''}` : '/dashboard/dead-letter?limit=10';
  return {
    likely_cause: CAUSES[error_tag] ?? 'unknown: read the error of one of them.',
    command: `curl -s '${publicUrl}${look}'`,
    runbook_step: ofWorkflow ? 'Read its error and its log; then retry it.' : 'Read the error, cure its cause, retry.',
    runbook_url: `${runbookUrl}#${LIFECYCLE[type].anchor}`,
  };
}

function more(count: number): string[] {
  return count > MAX_SHOWN ? [`and ${count - MAX_SHOWN} more`] : [];
}

/** Slack reads these three as markup. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

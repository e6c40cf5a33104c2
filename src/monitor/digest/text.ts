import type { Counts, Digest } from './read.ts';

/** The digest as one reads it in a mail or in Slack. */
export function digestText(digest: Digest): string {
  const { counts, day_before, week_before, now, alerts, new_causes, holes, deeds, to_do } = digest;
  const line = (name: string, of: keyof Counts) =>
    `${name}: ${counts[of]} (day before ${day_before[of]}, week before ${week_before[of]})`;
  return [
    `*TDS Core: ${headline(digest)}*`,
    `${digest.since} to ${digest.until}`,
    '',
    line('Arrived', 'arrived'),
    line('Succeeded', 'succeeded'),
    line('Failed attempts', 'failed'),
    line('New dead letters', 'dead_letters'),
    `Now: ${now.pending} pending, ${now.processing} processing, ${now.retry} in retry, ${now.dead_letter} dead letters; the oldest pending has waited ${now.oldest_pending_age_seconds} s`,
    `Holes: ${holes ?? 'not counted'}`,
    ...part(
      'Alerts',
      alerts.map(
        (one) => `[${one.severity}] ${one.title} since ${one.since}${one.acknowledged ? ' (acknowledged)' : ''}`,
      ),
    ),
    ...part(
      'New causes',
      new_causes.map(({ error_tag, message, count }) => `${count} x ${error_tag}${message && `: ${message}`}`),
    ),
    ...part(
      'Deeds',
      deeds.map(({ operator, action, count }) => `${operator}: ${action} x ${count}`),
    ),
    ...part('What to do', to_do.length > 0 ? to_do : ['Nothing.']),
  ].join('\n');
}

function headline({ alerts, now, to_do }: Digest): string {
  const active = alerts.filter(({ acknowledged }) => !acknowledged).length;
  if (to_do.length === 0) return 'all is well';
  return `${count(active, 'alert')}, ${count(now.dead_letter, 'dead letter')}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function part(title: string, lines: string[]): string[] {
  return lines.length > 0 ? ['', `${title}:`, ...lines.map((one) => `- ${one}`)] : [];
}

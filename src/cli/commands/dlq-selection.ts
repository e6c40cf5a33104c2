import { type Options, UsageError } from '../command.ts';
import { readTime } from '../since.ts';
import { uuid } from './events.ts';

/** How a command says which dead letters it is for. */
export const SELECTION_OPTIONS: [flags: string, description: string][] = [
  ['--all', 'every open dead letter'],
  ['--group <key>', 'those of an error group, as tds dlq groups shows it'],
  ['--tag <tag>', 'those with this error tag'],
  ['--event-type <type>', 'those of this event type'],
  ['--organization <id>', 'those of this organization'],
  ['--since <time>', 'that died since, such as 24h'],
  ['--before <time>', 'that died before'],
];

/** The ids, the group or the filter of a request. */
export function selection(ids: string[], options: Options): object {
  const filter = Object.fromEntries(
    Object.entries({
      error_tag: options.tag,
      event_type: options.eventType,
      organization_id: options.organization,
      kind: options.kind,
      since: readTime('since', options.since as string | undefined)?.toISOString(),
      before: readTime('before', options.before as string | undefined)?.toISOString(),
    }).filter(([, value]) => value !== undefined),
  );
  const given = [
    ...(ids.length > 0 ? [{ ids: ids.map(uuid) }] : []),
    ...(options.group ? [{ group: options.group }] : []),
    ...(options.all || Object.keys(filter).length > 0 ? [{ filter }] : []),
  ];
  if (given.length !== 1)
    throw new UsageError('say which: ids, --group, --all, or a filter such as --tag TimeoutError');
  return given[0] as object;
}

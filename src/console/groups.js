import { confirm } from './dialog.js';
import { $, button, element, show, tag, time } from './dom.js';
import { number, plural } from './format.js';

/** Draws the dead letters by cause, each with a button that retries them all. */

/** `busy`: a group is being retried, and another has to wait. */
export function renderGroups(answer, total, me, busy, retry) {
  const { groups, letters } = answer ?? { groups: [], letters: 0 };
  $('causes').hidden = total < 2 || groups.length === 0;
  $('causes-note').textContent =
    letters < total && letters >= 10_000 ? `Causes of the latest ${number(letters)} of ${number(total)}.` : '';
  show($('groups'), { groups, busy, mayNot: me.mayNot }, () => groups.map((group) => item(group, me, busy, retry)));
}

function item(group, me, busy, retry) {
  const { key, kind, error_tag, message, count, first_seen_at, last_seen_at, event_types, example_message } = group;
  const body = element(
    'div',
    { className: 'body' },
    element('p', { className: 'title' }, `${number(count)} × `, tag('critical', error_tag)),
    element('p', { className: 'error' }, message),
    example_message !== message && element('p', { className: 'meta' }, `Latest: ${example_message}`),
    element('p', { className: 'meta' }, event_types.join(', '), kind === 'quarantined' && ', quarantined on arrival'),
    element('p', { className: 'meta' }, 'first ', time(first_seen_at), ', last ', time(last_seen_at)),
  );
  const extra = { disabled: busy, title: busy ? 'Another group is being retried.' : '', ...me.barred };
  extra['aria-label'] = `${retryLabel(group)}: ${error_tag} ${message}`;
  const act = () => retry(group);
  return element('li', { className: 'item' }, body, button(retryLabel(group), `group-${key}`, act, extra));
}

/** 'Retry these 120', 'Parse these 12 again'. */
export function retryLabel({ kind, count }) {
  const these = count === 1 ? 'this one' : `these ${number(count)}`;
  return kind === 'quarantined' ? `Parse ${these} again` : `Retry ${these}`;
}

/** Asks whether to do it; resolves to true or false. */
export function confirmRetry(group) {
  const events = plural(group.count, group.kind === 'quarantined' ? 'delivery' : 'event', nouns(group));
  return confirm({
    title: group.kind === 'quarantined' ? `Parse ${events} again?` : `Retry ${events}?`,
    cause: `${group.error_tag}: ${group.example_message}`,
    text: 'They go back to the queue one after the other, the oldest first. You can stop in between. Is the cause removed?',
    yes: retryLabel(group),
  });
}

function nouns({ kind }) {
  return kind === 'quarantined' ? 'deliveries' : 'events';
}

/** What the page shows, kept in its address: a reload keeps it, the back button undoes it, a link shares it. */

const STATUSES = new Set(['pending', 'processing', 'retry', 'completed', 'dead_letter']);

/** The status the events are filtered by, or null; and the entity or id that is looked for, or ''. */
export function place() {
  const query = new URLSearchParams(location.search);
  const status = query.get('status');
  return { status: STATUSES.has(status) ? status : null, text: (query.get('q') ?? '').trim() };
}

/** Changes a part of it and leaves a step for the back button; a change to the same leaves none. */
export function go(change) {
  const { status, text } = { ...place(), ...change };
  const query = new URLSearchParams();
  if (status) query.set('status', status);
  if (text) query.set('q', text);
  const search = query.size > 0 ? `?${query}` : '';
  if (search !== location.search) history.pushState(null, '', `${location.pathname}${search}`);
}

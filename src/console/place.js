/** What the page shows, kept in its address: a reload keeps it, the back button undoes it, a link shares it. */

const STATUSES = new Set(['pending', 'processing', 'retry', 'completed', 'dead_letter']);
const RUN_STATUSES = new Set(['running', 'paused', 'completed', 'failed', 'terminated']);

/** What the page calls a part, and what the address calls it. */
const NAMES = { status: 'status', text: 'q', runStatus: 'workflows', runText: 'workflow' };

/**
 * The status the events are filtered by, or null; the entity or id that is looked for, or ''; and the same two of
 * workflows.
 */
export function place() {
  const query = new URLSearchParams(location.search);
  const among = (values, value) => (values.has(value) ? value : null);
  return {
    status: among(STATUSES, query.get(NAMES.status)),
    text: (query.get(NAMES.text) ?? '').trim(),
    runStatus: among(RUN_STATUSES, query.get(NAMES.runStatus)),
    runText: (query.get(NAMES.runText) ?? '').trim(),
  };
}

/** Changes a part of it and leaves a step for the back button; a change to the same leaves none. */
export function go(change) {
  const query = new URLSearchParams();
  for (const [part, value] of Object.entries({ ...place(), ...change })) if (value) query.set(NAMES[part], value);
  const search = query.size > 0 ? `?${query}` : '';
  if (search !== location.search) history.pushState(null, '', `${location.pathname}${search}`);
}

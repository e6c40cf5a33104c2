import { copyable } from './copy.js';
import { $, button, element, show, tag, time } from './dom.js';
import { number, plural } from './format.js';
import { historyOf } from './run-history.js';

/** Draws the runs of workflows: how far each is, what it failed with, and what can be done. */

/** Of each status: the colour of its tag, and the deeds that a run of it allows. */
const STATUSES = {
  running: { kind: 'processing', deeds: ['Pause', 'Terminate'] },
  paused: { kind: 'warning', deeds: ['Resume', 'Terminate'] },
  completed: { kind: 'completed', deeds: [] },
  failed: { kind: 'critical', deeds: ['Retry', 'Terminate'] },
  terminated: { kind: 'terminated', deeds: [] },
};

/** `shown` is { runs, more, isFiltered }; `operate` is called with a run, a deed such as Retry, and the click. */
export function renderRuns({ runs, more, isFiltered }, me, operate) {
  $('runs-section').hidden = runs.length === 0 && !isFiltered;
  $('more-runs').hidden = !more;
  $('runs-shown').textContent = runs.length > 0 ? `${plural(runs.length, 'workflow')}, newest first.` : '';
  show($('runs'), { runs, mayNot: me.mayNot }, () => [
    ...runs.map((run) => item(run, me, operate)),
    ...(runs.length === 0 ? [element('li', { className: 'empty' }, 'No workflow is like this.')] : []),
  ]);
}

function item(run, me, operate) {
  const buttons = deedsOf(run).map((deed) =>
    button(deed, `${deed}-${run.id}`, (click) => operate(run, deed, click), {
      ...{ 'aria-label': `${deed} ${run.name} ${run.id}`, ...me.barred },
    }),
  );
  return element('li', { className: 'item' }, body(run), element('div', { className: 'deeds' }, buttons));
}

function deedsOf({ status, result, approved_as }) {
  const withholds = status === 'completed' && result?.verdict === 'withheld' && approved_as === null;
  return withholds ? ['Approve'] : STATUSES[status].deeds;
}

function body(run) {
  const { id, name, organization_id, status, progress, waits_for, created_at, started_by, updated_at } = run;
  return element(
    'div',
    { className: 'body' },
    element('p', { className: 'title' }, tag(STATUSES[status].kind, status), ` ${name} of ${organization_id}`),
    outcome(run),
    element('p', {}, describeProgress(status, progress)),
    waits_for !== null && element('p', {}, element('b', {}, 'Waits: '), waits_for),
    element('p', { className: 'meta' }, 'started ', time(created_at), ` by ${started_by}, moved on `, time(updated_at)),
    element('p', { className: 'meta' }, 'id ', copyable(id, 'run')),
    json(run, 'Payload', run.payload),
    run.result !== null && json(run, 'Result', run.result),
    historyOf(run),
  );
}

/** What a run failed with, or what its reconciliation found. */
function outcome({ status, result }) {
  if (status === 'failed') return element('p', { className: 'error' }, `${result.tag}: ${result.message}`);
  return result?.verdict && element('p', {}, element('b', {}, 'Verdict: '), result.verdict);
}

/** 'invoice: 400 of 450 records, 3 pages, 405 calls of Zoho Books'. */
function describeProgress(status, { module, records, records_total: total, pages, calls }) {
  const of = total === null ? '' : ` of ${number(total)}`;
  const counts = `${number(records)}${of} records, ${plural(pages, 'page')}, ${plural(calls, 'call')} of Zoho Books`;
  // The module is the one it is in, or ended in.
  return module === null || status === 'completed' ? counts : `${module}: ${counts}`;
}

function json({ id }, title, value) {
  const node = element(
    'details',
    {},
    element('summary', {}, title),
    element('pre', { tabIndex: 0 }, JSON.stringify(value, null, 2)),
  );
  node.dataset.key = `${title}-${id}`;
  return node;
}

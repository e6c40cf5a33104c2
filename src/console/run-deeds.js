import { act, actOn } from './actions.js';
import { askForText, confirm } from './dialog.js';
import { $ } from './dom.js';
import { number, plural } from './format.js';

/** What an operator does with a run. */

const DONE = { Pause: 'paused', Resume: 'goes on', Retry: 'retried', Terminate: 'terminated', Approve: 'approved' };

/** Some deeds are asked about first. Resolves with whether there is something new to show. */
export async function operateRun(run, deed, click) {
  const path = `workflows/${run.id}/${deed.toLowerCase()}`;
  const done = `${run.name}: ${DONE[deed]}.`;
  // It belongs to the click only until we wait.
  const clicked = click.currentTarget;
  if (clicked.getAttribute('aria-disabled') === 'true') return false;
  if (deed === 'Approve') return approve(run, clicked, path, done);
  const question = questionOf(run, deed);
  if (question === null) return act(click, path, done);
  return (await confirm(question)) && actOn(null, clicked, path, done);
}

/** What a reconciliation would have deleted, and withheld because it was much at once. */
async function approve({ result }, clicked, path, done) {
  const withheld = Object.entries(result.modules).map(([module, { withheld_deletions: n }]) => ({ module, n }));
  const counts = withheld.filter(({ n }) => n > 0).map(({ module, n }) => `${module}: ${number(n)}`);
  $('approve-counts').textContent = counts.join(', ');
  const all = withheld.reduce((sum, { n }) => sum + n, 0);
  const reason = await askForText('approve', `Approve ${plural(all, 'deletion')}?`, 'approve-reason');
  return reason !== null && actOn(null, clicked, path, done, { reason });
}

function questionOf({ name, result }, deed) {
  if (deed === 'Retry')
    return {
      title: `Retry ${name}?`,
      cause: `${result.tag}: ${result.message}`,
      text: 'It goes on with the activity that failed. Is the cause removed?',
      yes: 'Retry',
    };
  if (deed !== 'Terminate') return null;
  const text = 'It ends for good and keeps what it has written. A new run begins anew.';
  return { title: `Terminate ${name}?`, text, yes: 'Terminate' };
}

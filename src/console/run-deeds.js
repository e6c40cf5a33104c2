import { act, actOn } from './actions.js';
import { confirm } from './dialog.js';

/** What an operator does with a run. */

const DONE = { Pause: 'paused', Resume: 'goes on', Retry: 'retried', Terminate: 'terminated' };

/** Some deeds are asked about first. Resolves with whether there is something new to show. */
export async function operateRun(run, deed, click) {
  const path = `workflows/${run.id}/${deed.toLowerCase()}`;
  const done = `${run.name}: ${DONE[deed]}.`;
  const question = questionOf(run, deed);
  if (question === null) return act(click, path, done);
  // It belongs to the click only until we wait.
  const clicked = click.currentTarget;
  if (clicked.getAttribute('aria-disabled') === 'true' || !(await confirm(question))) return false;
  return actOn(null, clicked, path, done);
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

import { $ } from './dom.js';

const SHOWN_MS = 6000;
let silence;

/** Says at the foot of the page what became of an action; `kind` is 'done' or 'failed'. */
export function say(text, kind = 'done') {
  clearTimeout(silence);
  $('message').textContent = text;
  $('message').dataset.kind = kind;
  silence = setTimeout(() => {
    $('message').textContent = '';
  }, SHOWN_MS);
}

import { button, drawing, element } from './dom.js';
import { say } from './message.js';

/** An id with a button that copies it. `place` tells the same id in two lists apart, for the focus. */
export function copyable(id, place, what = 'id') {
  const onclick = () => copy(id, what);
  const extra = { className: 'copy', title: `Copy ${what}`, 'aria-label': `Copy ${what} ${id}` };
  return element(
    'span',
    { className: 'id' },
    element('code', {}, id),
    button(icon(), `copy-${place}-${id}`, onclick, extra),
  );
}

function icon() {
  return drawing(
    'svg',
    { viewBox: '0 0 16 16', width: 14, height: 14, 'aria-hidden': 'true' },
    drawing('path', {
      d: 'M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z',
      fill: 'none',
      stroke: 'currentColor',
      'stroke-width': 1.4,
    }),
  );
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers give the clipboard to secure pages only; over plain HTTP the old way still works.
    copyBySelection(text);
  }
  say(`Copied ${what} ${text}`);
}

function copyBySelection(text) {
  const focused = document.activeElement;
  const field = element('textarea', { value: text, className: 'visually-hidden', readOnly: true });
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
  focused?.focus();
}

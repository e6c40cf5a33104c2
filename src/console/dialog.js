import { $ } from './dom.js';

/** Asks for a text in the dialog `id`, which holds `id`-title and `field`. Resolves with null when it was left. */
export async function askForText(id, title, field) {
  $(`${id}-title`).textContent = title;
  $(field).value = '';
  return (await isAccepted($(id))) ? $(field).value.trim() : null;
}

/** Asks whether to do it, of `cause` and `text`; `yes` is what the button says. Resolves to true or false. Esc is no. */
export function confirm({ title, cause = '', text, yes }) {
  $('confirm-title').textContent = title;
  $('confirm-cause').textContent = cause;
  $('confirm-text').textContent = text;
  $('confirm-yes').textContent = yes;
  return isAccepted($('confirm'));
}

/** Opens a dialog. Resolves when it closes: true when by its button of the value 'yes'. */
function isAccepted(dialog) {
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

import { $ } from './dom.js';

/** Asks for a text in the dialog `id`, which holds `id`-title and `field`. Resolves with null when it was left. */
export function askForText(id, title, field) {
  const dialog = $(id);
  $(`${id}-title`).textContent = title;
  $(field).value = '';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    const answer = () => resolve(dialog.returnValue === 'yes' ? $(field).value.trim() : null);
    dialog.addEventListener('close', answer, { once: true });
  });
}

/** Asks whether to do it, of `cause` and `text`; `yes` is what the button says. Resolves to true or false. Esc is no. */
export function confirm({ title, cause = '', text, yes }) {
  const dialog = $('confirm');
  $('confirm-title').textContent = title;
  $('confirm-cause').textContent = cause;
  $('confirm-text').textContent = text;
  $('confirm-yes').textContent = yes;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

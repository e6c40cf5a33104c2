import { $ } from './dom.js';

/** Asks whether to do what `text` tells; resolves to true or false. Esc is no. */
export function askWhether(title, text, yes) {
  const dialog = $('sure');
  $('sure-title').textContent = title;
  $('sure-text').textContent = text;
  $('sure-yes').textContent = yes;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

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

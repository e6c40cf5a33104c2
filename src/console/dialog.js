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

/** Making and updating elements. Text only ever enters as text: whatever a payload says, it cannot become markup. */

/** An element with properties and children; strings become text nodes, null and false are left out. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== false));
  return node;
}

const shown = new WeakMap();

/**
 * Fills `parent` with what `build` makes of `data`, but only when the data differs from what it shows: a refresh
 * neither flickers nor takes away focus, selection or an opened detail. Focus and opened details survive a change too.
 */
export function show(parent, data, build) {
  const fingerprint = JSON.stringify(data);
  if (shown.get(parent) === fingerprint) return;
  shown.set(parent, fingerprint);
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const opened = new Set([...parent.querySelectorAll('details[open]')].map((details) => details.dataset.key));
  parent.replaceChildren(...build(data));
  for (const details of parent.querySelectorAll('details')) details.open = opened.has(details.dataset.key);
  if (focused) parent.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

export function button(label, key, onclick, extra = {}) {
  const node = element('button', { type: 'button', onclick, ...extra }, label);
  node.dataset.key = key;
  return node;
}

/** A moment as distance from now; ageTimes() keeps it true. */
export function time(iso) {
  const node = element('time', { dateTime: iso, title: new Date(iso).toLocaleString() });
  node.textContent = distance(iso);
  return node;
}

export function ageTimes() {
  for (const node of document.querySelectorAll('time')) node.textContent = distance(node.dateTime);
}

const STEPS = [
  [60, 'second', 1],
  [3600, 'minute', 60],
  [86_400, 'hour', 3600],
  [Number.POSITIVE_INFINITY, 'day', 86_400],
];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

function distance(iso) {
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  const [, unit, size] = STEPS.find(([limit]) => seconds < limit);
  return relative.format(-Math.floor(seconds / size), unit);
}

export const number = new Intl.NumberFormat('en').format;

/** '1 event', '2,000 events'. */
export function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? '' : 's'}`;
}

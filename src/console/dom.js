/** Making and updating elements. Text only ever enters as text: whatever a payload says, it cannot become markup. */
import { distance } from './format.js';

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; strings become text nodes, null and false are left out. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat(Number.POSITIVE_INFINITY).filter(isShown));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';

/** An element of a drawing; its attributes are presentation attributes, never a style, which the policy forbids. */
export function drawing(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.flat(Number.POSITIVE_INFINITY).filter(isShown));
  return node;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false;
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

/** A word on a coloured ground; `kind` chooses the colour. */
export function tag(kind, label) {
  const node = element('span', { className: 'tag' }, label);
  node.dataset.kind = kind;
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

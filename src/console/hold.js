/**
 * Keeps the page still after a click, until the pointer moves: the list must not slide another row's button under a
 * pointer that is about to click once more.
 */

/** A hand trembles by some pixels between the two clicks of a double click. */
const TREMBLE_PX = 5;
/** A finger leaves no pointer behind that could move. */
const TOUCH_MS = 1500;

let from = null;
let timer;
let release = () => undefined;

export function onRelease(work) {
  release = work;
}

export function isHeld() {
  return from !== null;
}

/** Holds the page where this click was made. A press of a key is no click: there is no pointer to protect. */
export function hold(click) {
  if (click.detail === 0) return;
  from = { x: click.clientX, y: click.clientY };
  clearTimeout(timer);
  if (click.pointerType === 'touch') timer = setTimeout(endHold, TOUCH_MS);
}

function endHold() {
  if (from === null) return;
  from = null;
  release();
}

addEventListener('pointermove', ({ clientX, clientY }) => {
  if (from && Math.hypot(clientX - from.x, clientY - from.y) > TREMBLE_PX) endHold();
});
addEventListener('wheel', endHold, { passive: true });
addEventListener('keydown', endHold);

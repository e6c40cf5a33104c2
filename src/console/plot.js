import { $, drawing, element, show } from './dom.js';
import { clockHour, number, plural } from './format.js';

/**
 * Draws the last 24 hours: bars for attempts that completed an event and, on top of them, for those that failed; a line
 * for arrivals. Every colour also has a shape, and a table holds the same numbers.
 */

const HEIGHT = 170;
const TOP = 12;
const BOTTOM = 22;
const MARGIN = 8;
const DIGIT_WIDTH = 7;
const FLOOR = HEIGHT - BOTTOM;
/** A failure among thousands of completions must be seen. */
const MIN_BAR = 2;
const HOURS_PER_LABEL = 6;

let latest = null;

/** `activity` is null when it could not be read: the rest of the page goes on without. */
export function renderActivity(activity) {
  latest = activity?.hours ?? null;
  $('activity').hidden = latest === null;
  if (latest) render(latest);
}

new ResizeObserver(() => latest && render(latest)).observe($('plot'));

function render(hours) {
  const width = Math.max(280, Math.round($('plot').clientWidth));
  show($('plot'), { hours, width }, () => [plot(hours, width)]);
  $('plot-summary').textContent = describe(hours);
  show($('plot-rows'), hours, () => hours.map(tableRow));
}

function describe(hours) {
  const sum = (name) => hours.reduce((total, hour) => total + hour[name], 0);
  const arrived = `${plural(sum('arrivals'), 'event')} arrived`;
  return `${arrived}; ${plural(sum('completions'), 'attempt')} succeeded and ${number(sum('failures'))} failed.`;
}

function plot(hours, width) {
  const peak = niceCeiling(
    Math.max(1, ...hours.map((hour) => Math.max(hour.arrivals, hour.completions + hour.failures))),
  );
  const left = MARGIN + DIGIT_WIDTH * number(peak).length;
  const slot = (width - left - MARGIN) / hours.length;
  const scale = {
    left,
    right: width - MARGIN,
    x: (n) => left + n * slot,
    y: (count) => (count / peak) * (FLOOR - TOP),
    slot,
  };
  return drawing(
    'svg',
    {
      width,
      height: HEIGHT,
      viewBox: `0 0 ${width} ${HEIGHT}`,
      role: 'img',
      'aria-labelledby': 'plot-title plot-summary',
    },
    gridLine(peak, scale),
    gridLine(peak / 2, scale),
    drawing('line', { class: 'floor', x1: left, x2: width - MARGIN, y1: FLOOR, y2: FLOOR }),
    hours.map((hour, n) => bars(hour, n, scale)),
    drawing('path', { class: 'arrivals', d: steps(hours, scale) }),
    hours.map((hour, n) => label(hour, n, hours.length, scale)),
    hours.map((hour, n) => hint(hour, n, scale)),
  );
}

/** 1, 2, 5, 10, 20, 50 …: the first that is not below. */
function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function gridLine(count, { left, right, y }) {
  const at = FLOOR - y(count);
  return [
    drawing('line', { class: 'grid', x1: left, x2: right, y1: at, y2: at }),
    Number.isInteger(count) &&
      drawing('text', { class: 'scale', x: left - 4, y: at + 4, 'text-anchor': 'end' }, number(count)),
  ];
}

function bars({ completions, failures }, n, { x, y, slot }) {
  const gap = slot > 12 ? 3 : 1;
  const place = { x: x(n) + gap / 2, width: slot - gap };
  const completed = completions > 0 ? Math.max(MIN_BAR, y(completions)) : 0;
  const failed = failures > 0 ? Math.max(MIN_BAR, y(failures)) : 0;
  return [
    completed > 0 && drawing('rect', { class: 'completions', ...place, y: FLOOR - completed, height: completed }),
    failed > 0 && drawing('rect', { class: 'failures', ...place, y: FLOOR - completed - failed, height: failed }),
  ];
}

function steps(hours, { x, y, slot }) {
  return hours
    .map(({ arrivals }, n) => `${n === 0 ? 'M' : 'V'}${n === 0 ? `${x(0)} ` : ''}${FLOOR - y(arrivals)}H${x(n) + slot}`)
    .join('');
}

function label({ hour }, n, count, { x, slot }) {
  if ((count - 1 - n) % HOURS_PER_LABEL !== 0) return null;
  const anchor = n === count - 1 ? 'end' : 'middle';
  const at = n === count - 1 ? x(n) + slot : x(n) + slot / 2;
  return drawing('text', { class: 'hour', x: at, y: HEIGHT - 6, 'text-anchor': anchor }, clockHour(hour));
}

function hint(hour, n, { x, slot }) {
  const { arrivals, completions, failures } = hour;
  const text = `${clockHour(hour.hour)}: ${number(arrivals)} arrived, ${number(completions)} completed, ${number(failures)} failed`;
  return drawing('rect', { class: 'hint', x: x(n), y: 0, width: slot, height: FLOOR }, drawing('title', {}, text));
}

function tableRow({ hour, arrivals, completions, failures }) {
  const numbers = [arrivals, completions, failures].map((count) =>
    element('td', { className: 'number' }, number(count)),
  );
  return element('tr', {}, element('th', { scope: 'row' }, clockHour(hour)), ...numbers);
}

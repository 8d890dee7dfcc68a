// charts: lines over the last hour. The lines are SVG that is stretched; the words are HTML, which is not.
import { h } from './dom.js';

const W = 360;
const H = 100;
const SPAN_S = 3600;

// A round number that is not below n.
function roundUp(n) {
  if (!(n > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  for (const step of [1, 2, 5, 10]) {
    if (step * power >= n) return step * power;
  }
  return 10 * power;
}

// A path over the points that are there; a gap is a gap.
function path(at, values, end, top) {
  let d = '';
  let isDown = false;
  for (let i = 0; i < at.length; i += 1) {
    const value = values[i];
    const x = W - ((end - at[i]) / SPAN_S) * W;
    if (value === null || value === undefined || x < 0) {
      isDown = false;
      continue;
    }
    isDown = isDown && at[i] - at[i - 1] < 60;
    d += `${isDown ? 'L' : 'M'}${x.toFixed(1)} ${(H - (value / top) * H).toFixed(1)}`;
    if (!isDown && (i + 1 === at.length || values[i + 1] === null)) d += 'h1';
    isDown = true;
  }
  return d;
}

const last = (values) => values.findLast((v) => v !== null && v !== undefined) ?? null;

function atPointer(event, at, end, onPoint) {
  const box = event.currentTarget.getBoundingClientRect();
  const wanted = end - SPAN_S + ((event.clientX - box.left) / box.width) * SPAN_S;
  let best = -1;
  for (let i = 0; i < at.length; i += 1) {
    if (best < 0 || Math.abs(at[i] - wanted) < Math.abs(at[best] - wanted)) best = i;
  }
  onPoint(best);
}

// chart({title, at (s), lines: [{name, values, color: 1..4}], say: number → text, point, onPoint})
export function chart({ title, at, lines, say, point, onPoint }) {
  const end = at.length ? at[at.length - 1] : 0;
  const top = roundUp(Math.max(0, ...lines.flatMap((l) => l.values.filter((v) => v !== null))));
  const shown = point !== null && point !== undefined && point < at.length ? point : null;
  const value = (l) => (shown === null ? last(l.values) : l.values[shown]);
  const x = shown === null ? null : W - ((end - at[shown]) / SPAN_S) * W;
  return h('figure', { class: 'chart' },
    h('figcaption', null, h('span', { class: 'name' }, title),
      h('span', { class: 'legend' }, lines.map((l) => h('span', { class: `c${l.color}`, key: l.name },
        h('i', { 'aria-hidden': 'true' }), `${l.name} `, h('b', null, say(value(l))))))),
    h('div', { class: 'plot', onpointermove: (e) => atPointer(e, at, end, onPoint), onpointerleave: () => onPoint(null) },
      h('svg', {
        viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: 'none', role: 'img',
        'aria-label': `${title}, the last hour; now ${lines.map((l) => `${l.name} ${say(last(l.values))}`).join(', ')}`,
      },
      [0.25, 0.5, 0.75].map((part) => h('path', { class: 'grid', d: `M0 ${H * part}H${W}` })),
      lines.map((l) => h('path', { key: l.name, class: `line c${l.color}`, d: path(at, l.values, end, top) })),
      h('path', { class: 'pointer', d: x === null ? '' : `M${x.toFixed(1)} 0V${H}` })),
      h('span', { class: 'top' }, say(top))),
    h('div', { class: 'axis', 'aria-hidden': 'true' },
      ['60 min', '45', '30', '15', shown === null ? 'now' : new Date(at[shown] * 1000).toLocaleTimeString('en-GB')]
        .map((t) => h('span', null, t))));
}

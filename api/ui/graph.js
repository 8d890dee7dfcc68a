// graph: which tasks of a batch wait for which, drawn from left to right. Columns by the longest way from a root; in
// a column, tasks stand near the middle of those that they wait for.
import { h } from './dom.js';
import * as words from './words.js';

const W = 150;
const H = 40;
const GAP_X = 56;
const GAP_Y = 14;

function columnsOf(nodes, edges) {
  const parents = new Map(nodes.map((n) => [n.id, []]));
  const children = new Map(nodes.map((n) => [n.id, []]));
  for (const e of edges) {
    if (!parents.has(e.from) || !parents.has(e.to)) continue;
    parents.get(e.to).push(e.from);
    children.get(e.from).push(e.to);
  }
  const depth = new Map();
  const open = new Map(nodes.map((n) => [n.id, parents.get(n.id).length]));
  let ready = nodes.filter((n) => !open.get(n.id)).map((n) => n.id);
  while (ready.length) {
    const next = [];
    for (const id of ready) {
      depth.set(id, Math.max(0, ...parents.get(id).map((p) => depth.get(p) + 1)));
      for (const child of children.get(id)) {
        open.set(child, open.get(child) - 1);
        if (open.get(child) === 0) next.push(child);
      }
    }
    ready = next;
  }
  const columns = [];
  for (const n of nodes) (columns[depth.get(n.id) ?? 0] ??= []).push(n.id);
  return { columns: columns.filter(Boolean), parents, children };
}

// Places by column and row; a few sweeps put each task near its neighbours.
function layout(nodes, edges) {
  const { columns, parents, children } = columnsOf(nodes, edges);
  const row = new Map();
  const number = () => columns.forEach((column) => column.forEach((id, i) => row.set(id, i - (column.length - 1) / 2)));
  const middle = (ids, id) => (ids.length ? ids.reduce((sum, other) => sum + row.get(other), 0) / ids.length : row.get(id));
  number();
  for (let sweep = 0; sweep < 6; sweep += 1) {
    const near = sweep % 2 ? children : parents;
    for (const column of columns) {
      const wish = new Map(column.map((id) => [id, middle(near.get(id), id)]));
      column.sort((a, b) => wish.get(a) - wish.get(b));
    }
    number();
  }
  const height = Math.max(...columns.map((c) => c.length));
  const at = new Map();
  columns.forEach((column, x) => column.forEach((id) => at.set(id, {
    x: x * (W + GAP_X) + 2, y: (row.get(id) + (height - 1) / 2) * (H + GAP_Y) + 2,
  })));
  return { at, width: columns.length * (W + GAP_X) - GAP_X + 4, height: height * (H + GAP_Y) - GAP_Y + 4 };
}

const short = (text) => (text.length > 19 ? `${text.slice(0, 18)}…` : text);

export function graph({ nodes, edges }) {
  const { at, width, height } = layout(nodes, edges);
  const isOpen = new Set(nodes.filter((n) => n.state === 'scheduled').map((n) => n.id));
  const line = (e) => {
    const a = at.get(e.from);
    const b = at.get(e.to);
    if (!a || !b) return null;
    const [x1, y1, x2, y2] = [a.x + W, a.y + H / 2, b.x, b.y + H / 2];
    const bend = Math.max(20, (x2 - x1) / 2);
    return h('path', {
      key: `${e.from} ${e.to}`, class: `edge on-${e.on} ${e.pending && isOpen.has(e.to) ? 'pending' : ''}`, d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 3} ${y2}`,
    }, h('title', null, `on ${e.on}`));
  };
  const box = (n) => {
    const { x, y } = at.get(n.id);
    const name = words.line(n.name || n.handler, 60);
    return h('a', { key: n.id, href: `#/future/${n.id}`, class: `node ${n.state}`, 'aria-label': `${name}: ${n.state}` },
      h('title', null, `${name}: ${n.state}`),
      h('rect', { x, y, width: W, height: H, rx: 8 }), h('text', { x: x + 10, y: y + 17 }, short(name)),
      h('text', { x: x + 10, y: y + 32, class: 'small' }, short(n.name ? `${words.line(n.handler, 40)} · ${n.state}` : n.state)));
  };
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Graph of the batch' },
    h('svg', { class: 'graph', width, height, viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': `${nodes.length} tasks and ${edges.length} dependencies` },
      edges.map(line), nodes.map(box)));
}

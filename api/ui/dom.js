// dom: describes a piece of the page as plain objects and brings the document in line with them. What
// stays the same is not touched, so focus, selection and scrolling stay. Text becomes text nodes alone.

const SVG = 'http://www.w3.org/2000/svg';
const PROPERTIES = new Set(['value', 'checked', 'disabled', 'open', 'hidden']);

// h('p', {class: 'x', onclick: f, key: 7}, 'text', [more], null): null and false are nothing.
export function h(tag, props, ...children) {
  const flat = [];
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === true) continue;
    flat.push(typeof child === 'object' ? child : { text: String(child) });
  }
  return { tag, props: props || {}, children: flat };
}

function listen(element, type, handler) {
  element.handlers ??= {};
  if (!(type in element.handlers)) element.addEventListener(type, (event) => element.handlers[type]?.(event));
  element.handlers[type] = handler;
}

function set(element, name, value, before) {
  if (name === 'key' || name === 'mounted') return;
  if (name.startsWith('on')) {
    if (value !== before) listen(element, name.slice(2), value);
  } else if (name === 'style') {
    for (const [key, text] of Object.entries(value || {})) {
      if (before?.[key] !== text) element.style.setProperty(key, text);
    }
  } else if (PROPERTIES.has(name)) {
    if (name in element ? element[name] !== (value ?? '') : true) element[name] = value ?? '';
  } else if (value === null || value === undefined || value === false) {
    if (before !== value) element.removeAttribute(name);
  } else if (value !== before) {
    element.setAttribute(name, value === true ? '' : value);
  }
}

function make(node, isSvg) {
  if (node.text !== undefined) {
    node.dom = document.createTextNode(node.text);
    return node.dom;
  }
  const inSvg = isSvg || node.tag === 'svg';
  const element = inSvg ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  node.dom = element;
  for (const child of node.children) element.append(make(child, inSvg));
  for (const [name, value] of Object.entries(node.props)) set(element, name, value, undefined);
  node.props.mounted?.(element);
  return element;
}

const same = (a, b) => a.tag === b.tag && a.props?.key === b.props?.key;

function patchChildren(element, before, after, isSvg) {
  const byKey = new Map();
  for (const node of before) {
    if (node.props?.key !== undefined) byKey.set(node.props.key, node);
  }
  const used = new Set();
  let unkeyed = 0;
  const next = () => {
    while (unkeyed < before.length && (before[unkeyed].props?.key !== undefined || used.has(before[unkeyed]))) unkeyed += 1;
    return before[unkeyed];
  };
  let at = element.firstChild;
  const kept = after.map((node) => {
    const old = node.props?.key !== undefined ? byKey.get(node.props.key) : next();
    if (!old || used.has(old) || !same(old, node)) return null;
    used.add(old);
    return old;
  });
  for (const old of before) {
    if (used.has(old)) continue;
    if (old.dom === at) at = at.nextSibling;
    old.dom.remove();
  }
  after.forEach((node, i) => {
    const dom = kept[i] ? patch(kept[i], node, isSvg) : make(node, isSvg);
    if (dom === at) at = at.nextSibling;
    else element.insertBefore(dom, at);
  });
}

function patch(before, after, isSvg) {
  const { dom } = before;
  after.dom = dom;
  if (after.text !== undefined) {
    if (before.text !== after.text) dom.data = after.text;
    return dom;
  }
  const inSvg = isSvg || after.tag === 'svg';
  patchChildren(dom, before.children, after.children, inSvg);
  for (const name of Object.keys(before.props)) {
    if (!(name in after.props)) set(dom, name, null, before.props[name]);
  }
  for (const [name, value] of Object.entries(after.props)) set(dom, name, value, before.props[name]);
  return dom;
}

// Brings the children of element in line with nodes.
export function draw(element, ...nodes) {
  const { children } = h('', null, ...nodes);
  patchChildren(element, element.drawn || [], children, false);
  element.drawn = children;
}

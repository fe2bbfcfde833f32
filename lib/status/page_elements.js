/**
 * What the script of the status page writes with.
 *
 * Elements stay as long as what they show is there, and only text that has changed is written. So the
 * focus, a selection and the view of the table outlast the updates, and a screen reader stays calm.
 */

export const $ = (id) => document.getElementById(id);

export const count = new Intl.NumberFormat("en");

export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export function span(s) {
  if (s < 120) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}

/** Gives `parent` one child for each key, in this order: those it has, or new ones. */
export function sync(parent, keys, make) {
  const children = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const gone = new Set(children.keys()).difference(new Set(keys));
  for (const key of gone) children.get(key).remove();
  return keys.map((key, i) => {
    const child = children.get(key) ?? make();
    child.dataset.key = key;
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
    return child;
  });
}

export function write(element, text, className = element.className) {
  if (element.firstChild === null) element.append(text);
  else if (element.firstChild.data !== text) element.firstChild.data = text;
  element.className = className;
}

/** Something with so many empty elements of a kind in it. */
export function make(name, ...parts) {
  const element = document.createElement(name);
  element.append(...parts.map((part) => document.createElement(part)));
  return element;
}

/** Writes facts to a list: a term, a value, and a note. */
export function fill(list, facts) {
  const groups = sync(list, facts.map(([term]) => term), () => make("div", "dt", "dd", "dd"));
  groups.forEach(({ children: [dt, dd, note] }, i) => {
    const [term, value, text = "", isBad = false] = facts[i];
    write(dt, term);
    write(dd, value);
    write(note, text, isBad ? "bad" : "faint");
    note.hidden = text === "";
  });
  const none = list.parentElement.querySelector(".none");
  if (none) none.hidden = facts.length > 0;
}

/**
 * The table of connections on the status page, which can be sorted, filtered and grouped by source.
 */

import { $, bytes, count, make, span, sync, write } from "./page_elements.js";

/** How many rows are shown at first. */
const MAX_ROWS = 20;

const collator = new Intl.Collator("en", { numeric: true });

/** Columns: their name, what they are sorted by, and how that is written; words are to the left. */
const CONNECTIONS = [
  ["id", (c) => c.id, (id) => `${id}`],
  ["client", (c) => c.client, String],
  ["pid", (c) => c.pid, (pid) => `${pid}`],
  ["start", (c) => c.start, String],
  ["age", (c) => c.seconds, span],
  ["from client", (c) => c.bytesIn, bytes],
  ["to client", (c) => c.bytesOut, bytes],
  ["idle", (c) => c.idleSeconds, span],
];
const SOURCES = [
  ["source", (s) => s.id, String],
  ["connections", (s) => s.connections, (n) => count.format(n)],
  ["oldest", (s) => s.seconds, span],
  ["from clients", (s) => s.bytesIn, bytes],
  ["to clients", (s) => s.bytesOut, bytes],
];
const view = {
  columns: undefined,
  showsAll: false,
  sorts: new Map([
    [CONNECTIONS, { by: 0, isDescending: false }],
    [SOURCES, { by: 1, isDescending: true }],
  ]),
};

/** What a client counts as in the limits of a source: an IPv4 address, or the /64 of an IPv6 one. */
function sourceOf(client) {
  const [, address] = /^\[(.*)\]:\d+$/.exec(client) ?? [];
  if (address === undefined) return client.replace(/:\d+$/, "");
  const [head, tail] = address.split("::").map((part) => part.split(":").filter(Boolean));
  const zeros = tail === undefined ? [] : Array(8 - head.length - tail.length).fill("0");
  const network = [...head, ...zeros, ...(tail ?? [])].slice(0, 4).join(":");
  return `${URL.parse(`http://[${network}::]`)?.hostname.slice(1, -1) ?? address}/64`;
}

function sourcesOf(connections) {
  const sources = new Map();
  for (const { client, seconds, bytesIn, bytesOut } of connections) {
    const id = sourceOf(client);
    const none = { id, connections: 0, seconds: 0, bytesIn: 0, bytesOut: 0 };
    const source = sources.get(id) ?? none;
    source.connections++;
    source.seconds = Math.max(source.seconds, seconds);
    source.bytesIn += bytesIn;
    source.bytesOut += bytesOut;
    sources.set(id, source);
  }
  return [...sources.values()];
}

/** Sorts as the view says; while something in the table is selected, in the order that is there. */
function sorted(items) {
  const body = $("connections");
  const selection = getSelection();
  if (!selection.isCollapsed && body.contains(selection.anchorNode)) {
    const places = new Map([...body.rows].map(({ dataset }, i) => [dataset.key, i]));
    const placeOf = ({ id }) => places.get(`${id}`) ?? places.size;
    return items.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
  const { by, isDescending } = view.sorts.get(view.columns);
  const [, valueOf, format] = view.columns[by];
  const compare = format === String ? collator.compare : (a, b) => a - b;
  return items.toSorted((a, b) => compare(valueOf(a), valueOf(b)) * (isDescending ? -1 : 1));
}

function showHead() {
  const { by, isDescending } = view.sorts.get(view.columns);
  const newHead = () => {
    const head = make("th", "button");
    head.scope = "col";
    head.firstChild.type = "button";
    return head;
  };
  const heads = sync($("table").tHead.rows[0], view.columns.map(([name]) => name), newHead);
  heads.forEach((head, i) => {
    const [name, , format] = view.columns[i];
    head.className = format === String ? "words" : "";
    if (i !== by) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    write(head.firstChild, name);
    head.firstChild.onclick = () => {
      const sort = view.sorts.get(view.columns);
      sort.isDescending = sort.by === i ? !sort.isDescending : format !== String;
      sort.by = i;
      look(`sorted by ${name}, ${sort.isDescending ? "descending" : "ascending"}`);
    };
  });
}

/** The connections that are shown. */
let latest = [];

export function showConnections(connections) {
  latest = connections;
  $("view").hidden &&= connections.length === 0;
  view.columns = $("group").checked ? SOURCES : CONNECTIONS;
  const word = $("filter").value.trim().toLowerCase();
  const matching = connections.filter(({ client, pid }) =>
    `${client} ${sourceOf(client)}`.toLowerCase().includes(word) || `${pid}`.startsWith(word)
  );
  const items = $("group").checked ? sourcesOf(matching) : matching;
  const rows = sorted(items).slice(0, view.showsAll ? Infinity : MAX_ROWS);

  const all = `${count.format(connections.length)} connection${
    connections.length === 1 ? "" : "s"
  }`;
  const some = word === "" ? all : `${count.format(matching.length)} of ${all}`;
  const from = $("group").checked ? `, from ${count.format(items.length)} sources` : "";
  write($("shown"), connections.length === 0 ? "No connections." : some + from);
  $("all").hidden = items.length <= MAX_ROWS;
  write(
    $("all"),
    view.showsAll ? `show the first ${MAX_ROWS}` : `show all ${count.format(items.length)}`,
  );

  $("table").parentElement.hidden = items.length === 0;
  showHead();
  const newRow = () => make("tr", ...view.columns.map(() => "td"));
  sync($("connections"), rows.map(({ id }) => `${id}`), newRow).forEach(({ cells }, i) =>
    view.columns.forEach(([, valueOf, format], j) =>
      write(cells[j], format(valueOf(rows[i])), format === String ? "words" : "")
    )
  );
}

/** Shows the connections after a change of the view, and says what there is to see. */
function look(text) {
  showConnections(latest);
  write($("said"), text ?? $("shown").textContent);
}
$("filter").oninput = () => look();
$("group").onchange = () => {
  $("connections").replaceChildren(); // its rows have other cells
  look();
};
$("all").onclick = () => {
  view.showsAll = !view.showsAll;
  look(view.showsAll ? "all are shown" : `the first ${MAX_ROWS} are shown`);
};

/**
 * The script of the status page: fetches `status.json` every second and shows it.
 */

import { $, bytes, count, fill, make, span, sync, write } from "./page_elements.js";
import { showConnections } from "./page_connections.js";

const NOT_SERVED = {
  "failed": "no child could be started",
  "denied": "the rules do not allow this address",
  "source-limit": "the source had as many connections as it may have",
  "source-rate": "the source connected too often",
  "busy": "no slot was free, or none became free in time",
  "handshake": "a TLS handshake, PROXY header or WebSocket request failed",
  "page": "a browser asked for the page of a WebSocket address",
  "left": "the client left before it had a child",
};
const ENDED = {
  "client-closed": "the client ended its input, then the child its output",
  "child-closed": "the child exited or ended its output first",
  "client-reset": "the client reset the connection or vanished",
  "protocol-error": "the client broke the rules of WebSocket, or sent too large a message",
  "eof-timeout": "no output came in time after the end of input, or of the child",
  "idle-timeout": "no byte moved in time",
  "session-timeout": "it had lasted as long as it may",
  "drain-timeout": "the server shut down, and it had not ended in time",
  "killed": "the server was killed by a second signal",
};
const EXITS = {
  "0": "succeeded",
  "126": "by convention: the program could not be run",
  "127": "by convention: the program was not found",
};

/** The facts that counts are, of those that are not 0. */
const factsOf = (counts, noteOf, before = "") =>
  Object.entries(counts).filter(([, n]) => n > 0)
    .map(([name, n]) => [before + name, count.format(n), noteOf(name)]);

/** Draws a line in steps, one for each second, with the latest on the right. */
function plot(id, values, format, isNew) {
  const known = values.filter((value) => value !== null);
  const max = Math.max(0, ...known);
  let path = "";
  values.forEach((value, i) => {
    if (value === null || max === 0) return;
    const [x, y] = [300 - values.length + i, (38.5 - 36 * value / max).toFixed(2)];
    path += `${(values[i - 1] ?? null) === null ? `M${x} ${y}` : `V${y}`}H${x + 1}`;
  });
  $(id).querySelector("path").setAttribute("d", path);
  const nothing = isNew ? "nothing yet" : "nothing in 5 min";
  const range = () => `last ${format(known.at(-1))}, max ${format(max)}`;
  write($(id).querySelector(".range"), max === 0 ? nothing : range());
}

const ms = (n) => `${n < 10 ? +n.toFixed(1) : count.format(Math.round(n))} ms`;
const perSecond = (n) => `${count.format(n)}/s`;

const SERVING = "serving";
const FAILING = "serving, but every client's child fails";

function stateOf({ draining, ready, failing, active, waiting, limits }) {
  if (draining) return "draining";
  if (ready) return failing ? FAILING : SERVING;
  return active >= limits.connections && waiting >= limits.queue ? "full" : "not ready";
}
const classOf = (state) => state === SERVING ? "faint" : "bad";
const whereOf = ({ addresses, handler }) => `${addresses.join(" ")} → ${handler}`;
const activeOf = ({ active, limits }) =>
  `${count.format(active)} of ${count.format(limits.connections)}`;
const waitingOf = ({ waiting, limits }) =>
  limits.queue === 0 ? "no queue" : `${count.format(waiting)} of ${count.format(limits.queue)}`;
const notServedOf = ({ refused, failed }) =>
  Object.values(refused).reduce((sum, n) => sum + n, failed);

/** The service that the fragment of the page's address names, or else the first. */
function chosenOf(services) {
  let name = location.hash.slice(1);
  try {
    name = decodeURIComponent(name);
  } catch { /* it is what it is */ }
  return services.find(([one]) => one === name) ?? services[0];
}

function showServices(services, chosen) {
  const rows = sync($("services"), services.map(([name]) => name), () => {
    const row = make("tr", "th", ...Array(8).fill("td"));
    row.cells[0].scope = "row";
    row.cells[0].append(make("a"));
    for (const i of [7, 8]) row.cells[i].className = "words";
    return row;
  });
  rows.forEach(({ cells: [head, state, ...cells] }, i) => {
    const [name, service] = services[i];
    const link = head.firstChild;
    link.href = `#${encodeURIComponent(name)}`;
    link.setAttribute("aria-current", String(name === chosen));
    write(link, name);
    write(state, stateOf(service), `words ${classOf(stateOf(service))}`);
    const [notServed, ...counts] = [notServedOf(service), service.accepted, service.ended]
      .map((n) => count.format(n));
    [
      notServed,
      activeOf(service),
      waitingOf(service),
      ...counts,
      service.addresses.join(" "),
      service.handler,
    ]
      .forEach((text, i) => write(cells[i], text));
  });
}

function show(status) {
  last = status;
  const areSeveral = status.services !== undefined;
  const services = areSeveral
    ? status.names.map((name) => [name, status.services[name]])
    : [["", status]];
  const [name, service] = chosenOf(services);
  const inState = (state) => services.filter(([, service]) => stateOf(service) === state);
  const troubles = ["full", "not ready", FAILING].filter((state) => inState(state).length > 0)
    .map((state) => `${state}: ${inState(state).map(([name]) => name).join(", ")}`);
  const several = () => status.draining ? "draining" : troubles.join("; ") || SERVING;
  const state = areSeveral ? several() : stateOf(status);
  write($("state"), state, classOf(state));
  document.title = `${areSeveral ? status.names.join(", ") : whereOf(service)} – spawnd`;
  const limit = status.limits.children
    ? `, at most ${count.format(status.limits.children)} children`
    : "";
  write($("where"), areSeveral ? `${services.length} services${limit}` : whereOf(service));
  const { pid, version, memoryBytes, childrenMemoryBytes } = status;
  const ofChildren = childrenMemoryBytes === undefined
    ? ""
    : `children ${bytes(childrenMemoryBytes)}`;
  const memory = `, memory ${bytes(memoryBytes)}${ofChildren && `, ${ofChildren}`}`;
  const since = `up ${span(status.uptimeSeconds)}, pid ${pid}, version ${version}`;
  write($("since"), areSeveral ? since + memory : since);
  $("overview").hidden = !areSeveral;
  if (areSeveral) {
    write($("service"), name);
    write($("at"), whereOf(service));
    showServices(services, name);
  }
  showService(service, areSeveral ? [] : [["memory", bytes(memoryBytes), ofChildren]], ofChildren);
}

function showService(status, more, ofChildren) {
  const { refused, endReasons, exits, killed, limits, history, spawnFailures } = status;
  const isFull = (n, limit) => limit > 0 && n >= limit ? ["full", true] : [];
  fill($("totals"), [
    ["active", activeOf(status), ...isFull(status.active, limits.connections)],
    ["waiting", waitingOf(status), ...isFull(status.waiting, limits.queue)],
    ["accepted", count.format(status.accepted)],
    ["ended", count.format(status.ended)],
    ["not served", count.format(notServedOf(status))],
    ["from clients", bytes(status.bytesIn)],
    ["to clients", bytes(status.bytesOut)],
    ...more,
  ]);
  plot("active", history.active, (n) => count.format(n), status.accepted === 0);
  plot("accepted", history.accepted, perSecond, status.accepted === 0);
  plot("first", history.firstByteMs, ms, status.bytesOut === 0);
  fill(
    $("refused"),
    factsOf({ failed: status.failed, ...refused }, (reason) => NOT_SERVED[reason]),
  );
  fill($("ended"), factsOf(endReasons, (reason) => ENDED[reason]));
  const exitNote = (how) => EXITS[how] ?? "the program reported a failure";
  const [codes, signals] = [true, false].map((isCode) =>
    Object.fromEntries(Object.entries(exits).filter(([how]) => /^\d/.test(how) === isCode))
  );
  const unknown = ["memory", "unknown", "can be read on Linux with --allow-run=cat"];
  fill($("children"), [
    [
      "warm",
      `${count.format(status.warm)} of ${count.format(limits.warm)}`,
      "started, and waiting for a client",
    ],
    ["spawned", count.format(status.spawned), "started, with or without a client"],
    ...factsOf({ "spawn failures": spawnFailures }, () => "failed to start"),
    ...factsOf(codes, exitNote, "exit "),
    ...factsOf(signals, () => "ended by this signal"),
    ...factsOf(killed, () => "did not end by themselves in time", "stopped by "),
    ...(ofChildren === "" ? [unknown] : []),
  ]);
  showRefusals(status.latestRefusals);
  showConnections(status.connections);
}

const SHORT = { dateStyle: "short", timeStyle: "short" };

function showRefusals(refusals) {
  $("refusals").hidden = refusals.length === 0;
  const body = $("latest").querySelector("tbody");
  const keys = refusals.map(({ id }) => String(id));
  const newRow = () => {
    const row = make("tr", "td", "td", "td", "td");
    row.cells[0].append(make("time"));
    return row;
  };
  sync(body, keys, newRow).forEach(({ cells: [when, ...cells] }, i) => {
    const { id, time, reason, client } = refusals[i];
    const at = new Date(time);
    const isToday = at.toDateString() === new Date().toDateString();
    when.firstChild.dateTime = when.firstChild.title = time;
    write(when.firstChild, isToday ? at.toLocaleTimeString() : at.toLocaleString([], SHORT));
    [`#${id}`, reason, client].forEach((text, i) => write(cells[i], text));
  });
}

let last;
addEventListener("hashchange", () => {
  if (last === undefined) return;
  show(last);
  $("service").scrollIntoView({ block: "nearest" });
});

let seenAt = "never";
async function update() {
  try {
    const response = await fetch("status.json", { signal: AbortSignal.timeout(3000) });
    show(await response.json());
    document.body.className = "";
    seenAt = new Date().toLocaleTimeString();
  } catch {
    document.body.className = "gone";
    write($("state"), `no answer from the server; last seen ${seenAt}`, "bad");
  } finally {
    setTimeout(update, 1000);
  }
}
update();

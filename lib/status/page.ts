/**
 * The status page: what a person sees of a running server. One document that loads nothing else; its
 * script fetches `status.json` every second and writes text only, never markup.
 *
 * Of several services there is a table, and below it the one that the fragment of the page's address
 * names. A row stays the same element as long as its service is there, so that it keeps the focus.
 *
 * @module
 */

const STYLE = `
:root { color-scheme: light dark; --faint: light-dark(#57606a, #9198a1); --line: light-dark(#d0d7de, #30363d);
  --card: light-dark(#f6f8fa, #161b22); --plot: light-dark(#0969da, #4493f8); --bad: light-dark(#b35900, #f0a050); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; font: 15px/1.45 system-ui, sans-serif;
  background: light-dark(#fff, #0d1117); color: light-dark(#1f2328, #e6edf3); }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.faint, th, dt { color: var(--faint); font-weight: normal; }
.bad { color: var(--bad); font-weight: 600; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .5rem; margin: 1rem 0; }
dl div, figure { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem; margin: 0; }
dt { font-size: .8rem; } dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .5rem; }
figcaption { display: flex; justify-content: space-between; font-size: .8rem; color: var(--faint); }
svg { display: block; width: 100%; height: 4rem; } path { stroke: var(--plot); vector-effect: non-scaling-stroke; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
.connections :nth-child(2), .connections :nth-child(4), .services :nth-child(-n + 3) { text-align: left; }
.services td:nth-child(-n + 3) { white-space: normal; overflow-wrap: anywhere; min-width: 10rem; }
.services tr:has([aria-current=true]) { background: var(--card); }
.services th:has(a) { padding: 0; } .services a { display: block; padding: .3rem .6rem; color: var(--plot); }
[aria-current=true] { font-weight: 600; }
@media (max-width: 40rem) { .services :is(th, td):is(:nth-child(2), :nth-child(3)) { display: none; } }
.gone main { opacity: .45; }
`;

const SCRIPT = `
const $ = (id) => document.getElementById(id);
const MAX_ROWS = 500;
const count = new Intl.NumberFormat("en");
const bytes = (n) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }
  return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + units[i];
};
const span = (s) => s < 10 ? s.toFixed(1) + " s" : s < 120 ? Math.round(s) + " s"
  : s < 7200 ? Math.round(s / 60) + " min" : Math.round(s / 3600) + " h";

function fill(list, facts) {
  list.replaceChildren(...facts.map(([term, value]) => {
    const [group, dt, dd] = ["div", "dt", "dd"].map((name) => document.createElement(name));
    dt.textContent = term;
    dd.textContent = value;
    group.append(dt, dd);
    return group;
  }));
}

function plot(name, values, unit) {
  const max = Math.max(1, ...values.filter((value) => value !== null));
  const bars = values.map((value, i) => value ? "M" + (300.5 - values.length + i) + " 40V" + (40 - 38 * value / max) : "");
  $(name).querySelector("path").setAttribute("d", bars.join(""));
  $(name).querySelector("output").textContent = "up to " + (max < 10 ? +max.toFixed(1) : count.format(Math.round(max))) + unit;
}

const stateOf = ({ draining, ready }) => draining ? "draining" : ready ? "serving" : "full";
const whereOf = ({ addresses, handler }) => addresses.join(" ") + " → " + handler;
const activeOf = ({ active, limits }) => count.format(active) + " of " + count.format(limits.connections);
const waitingOf = ({ waiting, limits }) => count.format(waiting) + " of " + count.format(limits.queue);

function write(element, text, isGood) {
  element.textContent = text;
  element.className = isGood ? "faint" : "bad";
}

function chosenOf(services) {
  let name = location.hash.slice(1);
  try {
    name = decodeURIComponent(name);
  } catch { /* it is what it is */ }
  return services.find(([one]) => one === name) ?? services[0];
}

function newRow(name) {
  const [row, head, link] = ["tr", "th", "a"].map((name) => document.createElement(name));
  row.dataset.service = link.textContent = name;
  link.href = "#" + encodeURIComponent(name);
  head.scope = "row";
  head.append(link);
  row.append(head);
  for (let i = 0; i < 8; i++) row.insertCell();
  return row;
}

function showRows(services, chosen) {
  const body = $("services");
  const rows = new Map([...body.rows].map((row) => [row.dataset.service, row]));
  const names = new Set(services.map(([name]) => name));
  for (const [name, row] of rows) names.has(name) || row.remove();
  services.forEach(([name, service], i) => {
    const row = rows.get(name) ?? newRow(name);
    if (body.rows[i] !== row) body.insertBefore(row, body.rows[i] ?? null);
    row.querySelector("a").setAttribute("aria-current", String(name === chosen));
    const notServed = Object.values(service.refused).reduce((sum, n) => sum + n, service.failed);
    const texts = [
      service.addresses.join(" "), service.handler, activeOf(service), waitingOf(service),
      ...[service.accepted, service.ended, notServed].map((n) => count.format(n)),
    ];
    texts.forEach((text, i) => row.cells[i + 1].textContent = text);
    write(row.cells[8], stateOf(service), service.ready);
  });
}

function show(status) {
  last = status;
  const areSeveral = status.services !== undefined;
  const services = areSeveral ? Object.entries(status.services) : [["", status]];
  const [name, service] = chosenOf(services);
  const full = services.filter(([, service]) => stateOf(service) === "full").map(([name]) => name);
  write($("state"), stateOf(status) + (areSeveral && full.length > 0 ? ": " + full.join(", ") : ""), status.ready);
  const limit = status.limits.children ? ", at most " + count.format(status.limits.children) + " children" : "";
  $("where").textContent = areSeveral ? services.length + " services" + limit : whereOf(service);
  $("since").textContent = "up " + span(status.uptimeSeconds) + (areSeveral ? ", memory " + bytes(status.memoryBytes) : "");
  $("overview").hidden = !areSeveral;
  if (areSeveral) {
    $("service").textContent = name;
    $("at").textContent = whereOf(service);
    showRows(services, name);
  }
  showService(service, areSeveral ? [] : [["memory", bytes(status.memoryBytes)]]);
}

function showService(status, more) {
  const { refused, endReasons, exits, killed, limits, connections, history } = status;
  const rows = (counts, before) => Object.entries(counts).map(([name, n]) => [before + name, count.format(n)]);
  fill($("totals"), [
    ["active", activeOf(status)], ["waiting", waitingOf(status)],
    ["accepted", count.format(status.accepted)], ["ended", count.format(status.ended)],
    ["from clients", bytes(status.bytesIn)], ["to clients", bytes(status.bytesOut)],
    ...more,
  ]);
  fill($("children"), [
    ["warm", status.warm + " of " + limits.warm], ["spawned", count.format(status.spawned)], ["failed to start", count.format(status.spawnFailures)],
    ...rows(exits, "exit "), ...rows(killed, "stopped by "),
  ]);
  fill($("ended"), rows(endReasons, ""));
  fill($("refused"), rows({ failed: status.failed, ...refused }, ""));
  plot("active", history.active, "");
  plot("accepted", history.accepted, " a second");
  plot("first", history.firstByteMs, " ms");
  $("none").hidden = connections.length > 0;
  $("more").textContent = connections.length > MAX_ROWS ? "and " + count.format(connections.length - MAX_ROWS) + " more in status.json" : "";
  $("connections").replaceChildren(...connections.slice(0, MAX_ROWS).map((c) => {
    const tr = document.createElement("tr");
    for (const text of [c.id, c.client, c.pid, c.start, span(c.seconds), bytes(c.bytesIn), bytes(c.bytesOut), span(c.idleSeconds)]) {
      tr.insertCell().textContent = text;
    }
    return tr;
  }));
}

let last;
addEventListener("hashchange", () => {
  if (last === undefined) return;
  show(last);
  $("service").scrollIntoView({ block: "nearest" });
});

async function update() {
  try {
    const response = await fetch("status.json", { signal: AbortSignal.timeout(3000) });
    show(await response.json());
    document.body.className = "";
  } catch {
    document.body.className = "gone";
    $("state").textContent = "no answer from the server; last seen " + ($("state").dataset.at ?? "never");
    $("state").className = "bad";
    return;
  } finally {
    setTimeout(update, 1000);
  }
  $("state").dataset.at = new Date().toLocaleTimeString();
}
update();
`;

const plot = (id: string, caption: string) =>
  `<figure id="${id}"><figcaption><span>${caption}</span><output></output></figcaption>
<svg viewBox="0 0 300 40" preserveAspectRatio="none" aria-hidden="true"><path d=""/></svg></figure>`;

/** The document. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>spawnd</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header><h1>spawnd</h1><span id="state" role="status">asking</span><span id="where" class="faint"></span><span id="since" class="faint"></span></header>
<main>
<section id="overview" hidden>
<h2>Services</h2>
<div class="scroll"><table class="services">
<thead><tr><th>service</th><th>addresses</th><th>handler</th><th>active</th><th>waiting</th><th>accepted</th><th>ended</th><th>not served</th><th>state</th></tr></thead>
<tbody id="services"></tbody>
</table></div>
<h2 id="service"></h2>
<p id="at" class="faint"></p>
</section>
<dl id="totals"></dl>
<div class="plots">
${plot("active", "active connections")}
${plot("accepted", "connections accepted")}
${plot("first", "time to the first byte, median")}
</div>
<h2>Connections</h2>
<div class="scroll"><table class="connections">
<thead><tr><th>id</th><th>client</th><th>pid</th><th>start</th><th>age</th><th>from client</th><th>to client</th><th>idle</th></tr></thead>
<tbody id="connections"></tbody>
</table></div>
<p id="none" class="faint">No connections.</p>
<p id="more" class="faint"></p>
<h2>Ended</h2>
<dl id="ended"></dl>
<h2>Not served</h2>
<dl id="refused"></dl>
<h2>Children</h2>
<dl id="children"></dl>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;

/** The document may run its own style and script, and fetch from its own server; nothing else. */
export const CONTENT_SECURITY_POLICY: Promise<string> = (async () => {
  const [style, script] = await Promise.all([STYLE, SCRIPT].map(async (text) => {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(hash)))}'`;
  }));
  return `default-src 'none'; style-src ${style}; script-src ${script}; connect-src 'self'; ` +
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
})();

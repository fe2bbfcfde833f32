/**
 * The status page: what a person sees of a running server. One document that loads nothing else; its
 * script fetches `status.json` every second and writes text only, never markup.
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
#state.bad { color: var(--bad); font-weight: 600; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .5rem; margin: 1rem 0; }
dl div, figure { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem; margin: 0; }
dt { font-size: .8rem; } dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .5rem; }
figcaption { display: flex; justify-content: space-between; font-size: .8rem; color: var(--faint); }
svg { display: block; width: 100%; height: 4rem; } path { stroke: var(--plot); vector-effect: non-scaling-stroke; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:nth-child(2), td:nth-child(2), th:nth-child(4), td:nth-child(4) { text-align: left; }
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

function show(status) {
  const { refused, ended, exits, killed, limits, connections, history } = status;
  const rows = (counts, before) => Object.entries(counts).map(([name, n]) => [before + name, count.format(n)]);
  const state = status.draining ? "draining" : status.ready ? "serving" : "full";
  $("state").textContent = state;
  $("state").className = state === "serving" ? "faint" : "bad";
  $("where").textContent = status.addresses.join(" ") + " → " + status.handler;
  $("since").textContent = "up " + span(status.uptimeSeconds);
  fill($("totals"), [
    ["active", count.format(status.active) + " of " + count.format(limits.connections)],
    ["waiting", count.format(status.waiting) + " of " + count.format(limits.queue)],
    ["accepted", count.format(status.accepted)], ["served", count.format(status.served)],
    ["from clients", bytes(status.bytesIn)], ["to clients", bytes(status.bytesOut)],
    ["memory", bytes(status.memoryBytes)],
  ]);
  fill($("children"), [
    ["warm", status.warm + " of " + limits.warm], ["spawned", count.format(status.spawned)], ["failed to start", count.format(status.unspawned)],
    ...rows(exits, "exit "), ...rows(killed, "stopped by "),
  ]);
  fill($("ended"), rows(ended, ""));
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
<dl id="totals"></dl>
<div class="plots">
${plot("active", "active connections")}
${plot("accepted", "connections accepted")}
${plot("first", "time to the first byte, median")}
</div>
<h2>Connections</h2>
<div class="scroll"><table>
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

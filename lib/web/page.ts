/**
 * The console: what a browser gets that opens a WebSocket address as a page. One document that loads
 * nothing else; its script connects to the address it came from, and writes text only, never markup.
 *
 * Output may come faster than it can be drawn, and without end: it is parsed and drawn once a frame,
 * and the oldest lines go. The page never reconnects by itself, because a connection starts a
 * program.
 *
 * @module
 */

const STYLE = `
:root { color-scheme: light dark; --faint: light-dark(#57606a, #9198a1); --line: light-dark(#848d97, #6e7681);
  --card: light-dark(#f6f8fa, #161b22); --you: light-dark(#0969da, #4493f8); --bad: light-dark(#9a4c00, #f0a050); }
* { box-sizing: border-box; }
body, main { display: flex; flex-direction: column; gap: .5rem; }
body { height: 100vh; height: 100dvh; max-width: 72rem; margin: 0 auto; padding: .75rem 1rem;
  font: 15px/1.45 system-ui, sans-serif;
  background: light-dark(#fff, #0d1117); color: light-dark(#1f2328, #e6edf3); }
header { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; overflow-wrap: anywhere; }
h1 { font-size: 1.1rem; margin: 0; max-height: 4lh; overflow: auto; }
.faint { color: var(--faint); }
.bad { color: var(--bad); font-weight: 600; }
main, #log { flex: 1; min-height: 0; }
#log { overflow-y: auto; padding: .5rem .75rem; font: 14px/1.45 ui-monospace, monospace; }
#log, input, button { background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
#log div { min-height: 1.45em; white-space: pre-wrap; overflow-wrap: anywhere; }
hr { border: 1px solid var(--line); }
b { color: var(--you); }
form { display: flex; gap: .5rem; }
input, button { font: inherit; padding: .5rem .75rem; color: inherit; }
input { flex: 1; min-width: 0; font: 16px/1.45 ui-monospace, monospace; }
::placeholder, :disabled, input:read-only { color: var(--faint); opacity: 1; }
:focus-visible { outline: 2px solid var(--you); outline-offset: -1px; }
b::before { content: "you: "; }
label, b::before { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
`;

const SCRIPT = String.raw`
const [address, state, log, form, input, send, again] = document.querySelectorAll("[id]");
const MAX_LINES = 5000, MAX_SIZE = 1e6, MAX_WIDTH = 4096;
const REASONS = {
  1000: "the program has ended", 1001: "the server is going away", 1006: "the connection was lost",
  1008: "a limit of the server", 1009: "a message was too big", 1011: "the program has failed", 1013: "busy, try again later",
};
const UNFINISHED = /\x1b(?:\[[0-?]*[ -\/]*|[\]PX^_][^\0-\x1f]*\x1b?|[ -\/]*)$/;
const CONTROLS = /\x1b(?:\[[0-?]*[ -\/]*[@-~]?|[\]PX^_][^\0-\x1f]*(?:\x07|\x1b\\)?|[ -\/]*[0-~]?)|[\0-\x07\v\f\x0e-\x1f\x7f-\x9f]/g;

const lines = []; // elements in the log, or to be added at the next frame
let size = 0; // of their text
let pending = ""; // output that has not been written to them
let line; // the last one, until it ends
let column; // where its next text goes
let unfinished = ""; // the beginning of an escape sequence
let area, lastTop; // of the log and its scrollTop, when it was last drawn or scrolled
let isFollowing = true, frame, socket;

function draw() {
  flush();
  frame = undefined;
  while (log.firstChild && log.firstChild !== lines[0]) log.firstChild.remove();
  log.append(...lines.filter((element) => !element.parentNode));
  area = log.clientWidth * log.clientHeight;
  if (isFollowing) log.scrollTop = log.scrollHeight;
  lastTop = log.scrollTop;
}

function grow(by) {
  size += by;
  while (lines.length > MAX_LINES || size > MAX_SIZE) {
    size -= lines.shift().textContent.length;
  }
  frame ??= requestAnimationFrame(draw);
}

function follow() {
  isFollowing = true;
  grow(0);
}

function add(name) {
  lines.push(document.createElement(name));
  grow(0);
  return lines.at(-1);
}

function current() {
  if (!line) column = 0;
  return line ??= add("div");
}

function put(text) {
  if (column >= MAX_WIDTH) line = undefined;
  const before = current().textContent;
  line.textContent = before.slice(0, column) + text;
  column += text.length;
  grow(column - before.length);
}

function write(text) {
  text = unfinished + text;
  [unfinished] = text.match(UNFINISHED) ?? [""];
  text = text.slice(0, text.length - unfinished.length).replace(CONTROLS, "");
  if (unfinished.length > MAX_WIDTH) unfinished = "";
  for (const [token] of text.matchAll(/[\n\r\b]|[^\n\r\b]{1,4096}/gu)) {
    if (token === "\r") column = 0;
    else if (token === "\b") column = Math.max(0, column - 1);
    else if (token !== "\n") put(token);
    else {
      current();
      line = undefined;
    }
  }
}

function flush() {
  // Older lines would go anyway. The first may be joined to what was there before: it goes, too.
  const text = pending.split("\n").slice(-MAX_LINES - 2).join("\n");
  pending = "";
  write(text);
}

// After a prompt as in a terminal, otherwise on a line of its own.
function echo(text) {
  flush();
  if (!/\s$/.test(line?.textContent)) line = undefined;
  const you = document.createElement("b");
  you.textContent = text.replace(/^(.{4096}).+/su, "$1…");
  current().append(you);
  grow(you.textContent.length);
  line = undefined;
}

function show(text, isGood) {
  state.textContent = text;
  state.className = isGood ? "faint" : "bad";
  input.readOnly = send.disabled = socket.readyState !== WebSocket.OPEN;
  input.placeholder = input.readOnly ? "Not connected" : "Line to send";
  send.hidden = socket.readyState === WebSocket.CLOSED;
  again.hidden = !send.hidden;
}

function connect() {
  flush();
  line = undefined;
  unfinished = "";
  if (lines.length > 0) add("hr");
  const url = location.origin.replace("http", "ws") + location.pathname + location.search;
  socket = new WebSocket(url, "spawnd.text");
  socket.onopen = () => {
    show("connected", true);
    input.focus();
  };
  socket.onmessage = ({ data }) => {
    pending += data;
    if (pending.length > MAX_SIZE) flush(); // there are no frames in the background
    grow(0);
  };
  socket.onclose = ({ code, reason }) => {
    const wasOpen = !input.readOnly;
    const why = wasOpen ? REASONS[code] ?? "unknown reason" : "no connection could be made";
    show("closed: " + why + " (" + code + ")" + (reason && ": " + reason), code === 1000);
    if (!wasOpen) again.focus(); // else it might get the input's Enter
  };
  show("connecting", true);
}

const sent = [];
let at = 0; // in sent; its length stands for the draft
let draft;

function submit(text) {
  socket.send(text + "\n");
  echo(text);
  if (text && text !== sent.at(-1)) sent.push(text);
  at = sent.length;
  follow();
}

function recall(step) {
  if (at + step < 0 || at + step > sent.length) return;
  if (at === sent.length) draft = input.value;
  at += step;
  input.value = sent[at] ?? draft;
}

form.onsubmit = (event) => {
  event.preventDefault();
  input.focus();
  if (input.readOnly) return;
  submit(input.value);
  input.value = "";
};
input.onkeydown = (event) => {
  if (event.shiftKey || event.altKey || event.metaKey || event.isComposing) return;
  if (event.ctrlKey && event.key === "l") {
    flush();
    lines.length = size = 0;
    line = undefined;
    follow();
  } else if (event.key === "ArrowUp") recall(-1);
  else if (event.key === "ArrowDown") recall(1);
  else return;
  event.preventDefault();
};
// Complete lines are sent, the rest stays in the input.
input.onpaste = (event) => {
  const pasted = event.clipboardData.getData("text");
  if (input.readOnly || !/[\r\n]/.test(pasted)) return;
  event.preventDefault();
  const { value, selectionStart, selectionEnd } = input;
  const texts = (value.slice(0, selectionStart) + pasted + value.slice(selectionEnd)).split(/\r\n?|\n/);
  input.value = texts.pop();
  texts.forEach(submit);
};
log.onscroll = () => {
  if (log.clientWidth * log.clientHeight !== area) return; // resized, not scrolled
  // The first step of a smooth scroll upwards is less than a pixel.
  isFollowing = log.scrollTop >= lastTop && log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  lastTop = log.scrollTop;
};
// By itself it would scroll to where the end was when the key was pressed.
log.onkeydown = (event) => {
  if (event.key !== "End" || event.shiftKey) return;
  event.preventDefault();
  follow();
};
new ResizeObserver(draw).observe(log);
again.onclick = connect;
address.textContent = document.title = location.host + location.pathname;
connect();
`.replaceAll(/ *\/\/ .*$/gm, ""); // without its comments

/**
 * The document. It asks for the mode "text", whatever that of the server is: a browser takes in 128 KiB
 * of messages ahead, and if each is a short line, a click waits for seconds behind them (Chromium 156).
 */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<title>spawnd</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header><h1 id="address">spawnd</h1><span id="state" role="status"></span></header>
<main>
<noscript>This page needs JavaScript.</noscript>
<div id="log" role="log" aria-live="polite" aria-label="Output" tabindex="0"></div>
<form id="form"><label for="input">Line to send</label>
<input id="input" placeholder="Not connected" autocomplete="off" autocapitalize="off" spellcheck="false" enterkeyhint="send" readonly>
<button id="send" disabled>Send</button><button id="again" type="button" hidden>Connect again</button></form>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;

/** The document may run its own style and script, and connect to its own server; nothing else. */
export const CONTENT_SECURITY_POLICY: Promise<string> = (async () => {
  const [style, script] = await Promise.all([STYLE, SCRIPT].map(async (text) => {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(hash)))}'`;
  }));
  return `default-src 'none'; style-src ${style}; script-src ${script}; connect-src 'self'; ` +
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
})();

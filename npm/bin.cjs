#!/usr/bin/env node
/**
 * `spawnd` for Node and npm: runs main.ts with the Deno of npm's package `deno`. Signals that come
 * here go on to Deno, and its end, by an exit code or a signal, is the end of this process.
 */

"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { join } = require("node:path");

/** What a terminal, a service manager or an operator sends. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

const deno = require("deno/install_api.cjs").runInstall();
const { SPAWND_PERMISSIONS = "--allow-net --allow-run" } = process.env;
const args = [
  "run",
  "--no-config", // Deno takes no TypeScript from a node_modules folder that it knows (2.9.6)
  "--no-lock",
  "--unstable-net",
  ...SPAWND_PERMISSIONS.split(/\s+/).filter((flag) => flag !== ""),
  join(__dirname, "main.ts"),
  ...process.argv.slice(2),
];

for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
// In a session of its own, or Ctrl-C would reach Deno twice: from the terminal, and from here.
const child = spawn(deno, args, { stdio: "inherit", detached: true });
child.on("error", ({ message }) => {
  console.error(`spawnd: Cannot start Deno: ${message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  setTimeout(() => process.exit(128 + constants.signals[signal]), 100); // one that Node holds back
});

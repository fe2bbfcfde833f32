/**
 * A store of keys and values that all clients share: `SET key value`, `GET key`, `DEL key`. Each
 * client has a process of its own, so the state lives in a file, in SQLite: with its write-ahead log,
 * many processes read while one writes, and another that wants to write waits for it.
 *
 *     deno run --allow-net --allow-run main.ts --grant read=kv.db --grant write=kv.db \
 *       examples/kv.ts kv.db
 *
 * Nothing bounds how much is stored: give the file a quota where strangers may write.
 *
 * What is outside of the function runs when the process starts, before its client is there.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { serve } from "@spawnd/spawnd/handler";

const database = new DatabaseSync(Deno.args[0] ?? "kv.db", { timeout: 5_000 }); // for a lock
database.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`);
const select = database.prepare("SELECT value FROM entries WHERE key = ?");
const remove = database.prepare("DELETE FROM entries WHERE key = ?");
const insert = database.prepare(
  "INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
);

function answer(line: string): string {
  const [, command, key = "", value] = /^(GET|SET|DEL) (\S+)(?: (.*))?$/.exec(line) ?? [];
  if (command === "SET" && value !== undefined) insert.run(key, value);
  else if (command === "DEL" && value === undefined) {
    return remove.run(key).changes === 0 ? "NONE" : "OK";
  } else if (command === "GET" && value === undefined) {
    const row = select.get(key);
    return row === undefined ? "NONE" : `VALUE ${row.value}`;
  } else return "ERROR say GET key, SET key value, or DEL key";
  return "OK";
}

await serve(async (client) => {
  for await (const line of client.lines({ maxLength: 4096 })) {
    await client.write(`${answer(line)}\n`);
  }
});

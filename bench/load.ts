/**
 * The load: one measurement of one server, from a process of its own. It checks every byte that comes
 * back; a wrong or missing one is an error, not a fast answer.
 *
 *     deno run --allow-net bench/load.ts '{"measure":"rtt","port":9527,"service":"counter"}'
 *
 * Prints the samples as JSON.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { counterBlock } from "../lib/child/counter.ts";
import { Random } from "./random.ts";

/** What is measured: see {@linkcode MEASURES}. */
export type Measure = "first" | "burst" | "steady" | "rtt" | "rate" | "bulk" | "hold";

/** A running server. */
export interface Target {
  readonly port: number;
  /** What it serves: numbered blocks, or an echo. */
  readonly service: "counter" | "echo";
}

/** One measurement. */
export interface Load extends Target {
  readonly measure: Measure;
  /** How many connections; for `rtt`, how many exchanges. */
  readonly clients: number;
  /** Connections per second, for `steady`. */
  readonly rate?: number;
  /** Megabytes (2^20 bytes) over each connection, for `bulk`. */
  readonly megabytes?: number;
  /** The seed of the pseudo-random arrivals, the same for every server. */
  readonly seed?: number;
}

const MESSAGE = new TextEncoder().encode("hello");

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function connect({ port }: Load): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** Reads as many bytes as are due, and checks them. */
async function expect(conn: Deno.Conn, due: Uint8Array): Promise<void> {
  const got = new Uint8Array(due.length);
  for (let have = 0; have < due.length;) {
    const length = await conn.read(got.subarray(have));
    if (length === null) {
      throw new Error(`the connection ended after ${have} of ${due.length} bytes`);
    }
    have += length;
  }
  const wrong = got.findIndex((byte, i) => byte !== due[i]);
  if (wrong >= 0) throw new Error(`byte ${wrong} is ${got[wrong]}, not ${due[wrong]}`);
}

async function exchange(conn: Deno.Conn, { service }: Load, index: number): Promise<void> {
  await conn.write(MESSAGE);
  await expect(conn, service === "echo" ? MESSAGE : counterBlock(index));
}

/** Half-closes, checks that nothing more comes, and closes. */
async function end(conn: Deno.TcpConn): Promise<void> {
  await conn.closeWrite();
  if (await conn.read(new Uint8Array(1)) !== null) throw new Error("the server sent too much");
  conn.close();
}

/** Milliseconds from connecting to the first reply. */
async function firstReply(load: Load, stayMs = 0): Promise<number> {
  const began = performance.now();
  const conn = await connect(load);
  await exchange(conn, load, 0);
  const took = performance.now() - began;
  if (stayMs > 0) await pause(stayMs);
  await end(conn);
  return took;
}

const MEASURES: Record<Measure, (load: Load) => Promise<number[]>> = {
  /** First replies, one connection every 40 ms; milliseconds each. */
  async first(load) {
    const took: number[] = [];
    for (let i = 0; i < load.clients; i++) {
      const gap = pause(40);
      took.push(await firstReply(load));
      await gap;
    }
    return took;
  },

  /** All connections at once; milliseconds to the last first reply. */
  async burst(load) {
    const took = await Promise.all(Array.from({ length: load.clients }, () => firstReply(load)));
    return [Math.max(...took)];
  },

  /** Poisson arrivals at a rate, each staying 200 ms; milliseconds to each first reply. */
  async steady(load) {
    const random = new Random(load.seed ?? 1);
    const replies: Promise<number>[] = [];
    let dueMs = performance.now();
    for (let i = 0; i < load.clients; i++) {
      dueMs += -Math.log(1 - random.next()) / load.rate! * 1000;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await pause(waitMs);
      replies.push(firstReply(load, 200));
    }
    return await Promise.all(replies);
  },

  /** Round trips on one connection; microseconds each. */
  async rtt(load) {
    const conn = await connect(load);
    const took: number[] = [];
    for (let i = 0; i < load.clients; i++) {
      const began = performance.now();
      await exchange(conn, load, i);
      took.push((performance.now() - began) * 1000);
    }
    await end(conn);
    return took;
  },

  /** Short connections by 16 clients; connections per second. */
  async rate(load) {
    const began = performance.now();
    let next = 0;
    const client = async () => {
      while (next++ < load.clients) await firstReply(load);
    };
    await Promise.all(Array.from({ length: 16 }, client));
    return [load.clients / (performance.now() - began) * 1000];
  },

  /** Bytes there and back over all connections at once; megabytes (2^20 bytes) per second. */
  async bulk(load) {
    const chunk = new Uint8Array(65_536).map((_, i) => i * 7); // has a period of 256
    const due = new Uint8Array(2 * chunk.length).map((_, i) => i * 7);
    const began = performance.now();
    const client = async () => {
      const conn = await connect(load);
      const chunks = load.megabytes! * 16;
      const sending = (async () => {
        for (let i = 0; i < chunks; i++) {
          for (let sent = 0; sent < chunk.length;) sent += await conn.write(chunk.subarray(sent));
        }
        await conn.closeWrite();
      })();
      const buffer = new Uint8Array(65_536);
      let got = 0;
      for (;;) {
        const length = await conn.read(buffer);
        if (length === null) break;
        const from = got % 256;
        if (Buffer.compare(buffer.subarray(0, length), due.subarray(from, from + length)) !== 0) {
          throw new Error(`a byte from ${got} to ${got + length} is wrong`);
        }
        got += length;
      }
      await sending;
      conn.close();
      if (got !== chunks * chunk.length) throw new Error(`${got} bytes came back`);
    };
    await Promise.all(Array.from({ length: load.clients }, client));
    return [load.clients * load.megabytes! / (performance.now() - began) * 1000];
  },

  /** Opens connections with one exchange each, and holds them until end of input on stdin. */
  async hold(load) {
    const conns: Deno.TcpConn[] = [];
    while (conns.length < load.clients) {
      const conn = await connect(load);
      await exchange(conn, load, 0);
      conns.push(conn);
    }
    console.log(JSON.stringify("holding"));
    for await (const _ of Deno.stdin.readable);
    for (const conn of conns) conn.close();
    return [];
  },
};

if (import.meta.main) {
  const load: Load = JSON.parse(Deno.args[0]!);
  console.log(JSON.stringify(await MEASURES[load.measure](load)));
}

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
import { type Client, send, StreamClient, WrongAnswer } from "./client.ts";
import { Random } from "./random.ts";
import { WebSocketClient } from "./web_socket_client.ts";

/** What is measured: see {@linkcode MEASURES}. */
export type Measure =
  | "first"
  | "burst"
  | "last"
  | "arrivals"
  | "rtt"
  | "messages"
  | "rate"
  | "bulk"
  | "hold";

/** How long a client of `arrivals` waits for its first reply by default, in milliseconds. */
export const ANSWER_MS = 10_000;

/** A running server. */
export interface Target {
  readonly port: number;
  /** What it serves: numbered blocks, or an echo. */
  readonly service: "counter" | "echo";
  /** Its certificate for `localhost` in PEM, if it speaks TLS. */
  readonly certificate?: string | undefined;
  /** Whether it speaks WebSocket: in lines for an echo, else in bytes. */
  readonly isWebSocket?: boolean;
}

/** One measurement. */
export interface Load extends Target {
  readonly measure: Measure;
  /** How many connections; for `rtt` and `messages`, how many exchanges. */
  readonly clients: number;
  /** Connections per second, for `arrivals`. */
  readonly rate?: number;
  /** The size of a message of `rtt`, for an echo; by default that of `hello`. */
  readonly bytes?: number;
  /** Megabytes (2^20 bytes) over each connection, for `bulk`. */
  readonly megabytes?: number;
  /** How long a client of `arrivals` waits for its first reply, in milliseconds. */
  readonly answerMs?: number;
  /** The seed of the pseudo-random arrivals, the same for every server. */
  readonly seed?: number;
}

const HELLO = new TextEncoder().encode("hello");

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Connects without Nagle's algorithm, which would wait for the server's delayed ACKs. */
async function connect({ port, certificate }: Load): Promise<Deno.TcpConn | Deno.TlsConn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay();
  if (certificate === undefined) return conn;
  // Deno.connectTls gives a connection that cannot do so (seen on 2.9).
  return await Deno.startTls(conn, { hostname: "localhost", caCerts: [certificate] });
}

async function open(load: Load): Promise<Client> {
  const conn = await connect(load);
  if (!load.isWebSocket) return new StreamClient(conn);
  return await WebSocketClient.open(conn, load.service === "echo");
}

/** Numbered bytes: each is seven more than the one before, modulo 256. */
function pattern(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length).map((_, i) => i * 7);
}

async function exchange(
  client: Client,
  { service }: Load,
  index: number,
  message = HELLO,
): Promise<void> {
  await client.exchange(message, service === "echo" ? message : counterBlock(index));
}

/** Milliseconds from connecting to the first reply. The client half-closes as soon as it has that. */
async function firstReply(load: Load): Promise<number> {
  const began = performance.now();
  const client = await open(load);
  await exchange(client, load, 0);
  const took = performance.now() - began;
  await client.end();
  return took;
}

/** Calls `once` this many times, from 16 clients that each wait for one call before the next. */
async function byClients(times: number, once: () => Promise<unknown>): Promise<void> {
  let begun = 0;
  const client = async () => {
    while (begun++ < times) await once();
  };
  await Promise.all(Array.from({ length: 16 }, client));
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

  /** All connections at once; milliseconds to each first reply. */
  async burst(load) {
    return await Promise.all(Array.from({ length: load.clients }, () => firstReply(load)));
  },

  /** The same; milliseconds to the last first reply. */
  async last(load) {
    return [Math.max(...await MEASURES.burst(load))];
  },

  /**
   * Poisson arrivals at a rate, whatever the server does; milliseconds to each first reply. Infinity
   * stands for none in time, and for a connection that was lost before it.
   *
   * A client stays no longer than for its reply, so that only the server's speed decides how many
   * are open.
   */
  async arrivals(load) {
    const random = new Random(load.seed ?? 1);
    const { answerMs = ANSWER_MS } = load;
    const replies: Promise<number>[] = [];
    const ends: Promise<void>[] = [];
    const reply = async (began: number) => {
      try {
        const client = await open(load);
        await exchange(client, load, 0);
        ends.push(client.end());
        return performance.now() - began;
      } catch (error) {
        if (error instanceof WrongAnswer) throw error;
        return Infinity;
      }
    };
    let dueMs = performance.now();
    for (let i = 0; i < load.clients; i++) {
      dueMs += -Math.log(1 - random.next()) / load.rate! * 1000;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await pause(waitMs);
      // Timers are up to 2 ms late by themselves. Whatever is beyond that is the machine's load, and
      // counts: otherwise the busiest moments would seem the fastest.
      const began = Math.min(dueMs + 2, performance.now());
      replies.push(Promise.race([reply(began), pause(answerMs).then(() => Infinity)]));
    }
    const took = await Promise.all(replies);
    await Promise.race([Promise.all(ends), pause(answerMs)]);
    return took;
  },

  /** Round trips on one connection; microseconds each. */
  async rtt(load) {
    const client = await open(load);
    const message = load.bytes === undefined ? HELLO : pattern(load.bytes);
    const took: number[] = [];
    for (let i = 0; i < load.clients; i++) {
      const began = performance.now();
      await exchange(client, load, i, message);
      took.push((performance.now() - began) * 1000);
    }
    await client.end();
    return took;
  },

  /** Round trips on one connection; how many per second. */
  async messages(load) {
    const client = await open(load);
    const began = performance.now();
    for (let i = 0; i < load.clients; i++) await exchange(client, load, i);
    const took = performance.now() - began;
    await client.end();
    return [load.clients / took * 1000];
  },

  /** Short connections, one after the other by each of 16 clients; connections per second. */
  async rate(load) {
    const began = performance.now();
    await byClients(load.clients, () => firstReply(load));
    return [load.clients / (performance.now() - began) * 1000];
  },

  /** Bytes there and back over all connections at once; megabytes (2^20 bytes) per second. */
  async bulk(load) {
    const chunk = pattern(65_536);
    const due = pattern(2 * chunk.length); // has a period of 256
    const began = performance.now();
    const client = async () => {
      const conn = await connect(load);
      const chunks = load.megabytes! * 16;
      const sending = (async () => {
        for (let i = 0; i < chunks; i++) await send(conn, chunk);
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
    const clients: Client[] = [];
    await byClients(load.clients, async () => {
      const client = await open(load);
      await exchange(client, load, 0);
      clients.push(client);
    });
    console.log(JSON.stringify("holding"));
    for await (const _ of Deno.stdin.readable);
    for (const client of clients) client.close();
    return [];
  },
};

if (import.meta.main) {
  const load: Load = JSON.parse(Deno.args[0]!);
  console.log(JSON.stringify(await MEASURES[load.measure](load)));
  // The timers of `arrivals`, and clients without an answer, would keep it running.
  Deno.exit(0);
}

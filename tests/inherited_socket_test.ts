/** Clients of an inherited listening socket are served like any other. */

import { assert, assertEquals } from "@std/assert";
import { Certificates } from "./_certificates.ts";
import { askAt, opening, overBoth, startWith, testInherited } from "./_inherited.ts";
import { descriptorsOf, memoryOf, untilOutputStops } from "./_processes.ts";
import { makeFolder, run } from "./_service.ts";
import {
  ask,
  assertSameBytes,
  connectToReset,
  receive,
  receiveAll,
  send,
  text,
} from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";
import { until, untilSteady, within } from "./_waiting.ts";

const MB = 1024 * 1024;

testInherited("over an inherited socket a client has its addresses", async () => {
  const script = "env | grep -E '^(PROTO|TCPREMOTEIP|TCPLOCALIP|TCPLOCALPORT)=' | sort";
  const listen = ["--listen", "fd:3", "--", "sh", "-c", script];
  for (const hostname of ["127.0.0.1", "::1"]) {
    await using spawnd = await startWith([`${hostname}:0`], ...listen);
    const { port } = spawnd;
    assertEquals(
      text(await askAt({ hostname, port }, "")),
      `PROTO=TCP\nTCPLOCALIP=${hostname}\nTCPLOCALPORT=${port}\nTCPREMOTEIP=${hostname}\n`,
    );
  }
  await using spawnd = await startWith([":::0"], ...listen); // both families
  const answer = text(await ask(spawnd.port, ""));
  assert(answer.endsWith("TCPREMOTEIP=127.0.0.1\n"), answer);
});

testInherited("bytes pass an inherited socket intact, both ways at once", async () => {
  const sent = crypto.getRandomValues(new Uint8Array(65_536));
  await overBoth(["--", "cat"], async (_, connect) => {
    using conn = await connect();
    const sending = (async () => {
      for (let i = 0; i < 256; i++) await send(conn, sent);
      await conn.closeWrite();
    })();
    const received = await within("all bytes", receiveAll(conn));
    await sending;
    assertEquals(received.length, 256 * sent.length);
    for (const i of [0, 100, 255]) {
      assertSameBytes(received.subarray(i * sent.length, (i + 1) * sent.length), sent);
    }
  });
});

testInherited("a client that half-closes without a byte gets all of a large answer", async () => {
  await overBoth(["--", "sh", "-c", "exec head -c 20000000 /dev/zero"], async (spawnd, connect) => {
    using conn = await connect();
    await conn.closeWrite();
    const { pid } = await spawnd.record({ message: "open" });
    await untilOutputStops(Number(pid)); // until the server waits for the client
    assertEquals((await receiveAll(conn)).length, 20_000_000);
    const { reason } = await spawnd.record({ message: "end" });
    assertEquals(reason, "client-closed");
  });
});

testInherited("a reset is told from an end, even while the child reads nothing", async () => {
  await using spawnd = await startWith(
    ["127.0.0.1:0"],
    ...["--listen", "fd:3", "--kill-timeout", "0.2", "--", "sh", "-c", "echo ready; exec sleep 60"],
  );
  const reset = await connectToReset(spawnd.port, "x".repeat(1_000_000), "ready\n");
  await reset();
  assertEquals((await spawnd.record({ message: "end" })).reason, "client-reset");
  assertEquals((await spawnd.stop()).code, 0);
});

testInherited("a client that vanishes ends its child", async () => {
  await overBoth(["--kill-timeout", "0.2", "--", "cat"], async (spawnd, connect) => {
    const conn = await connect();
    await send(conn, "x");
    await receive(conn, 1);
    conn.close();
    await spawnd.record({ message: "end" });
  });
});

testInherited("a flood that the child does not read stays with the client", async () => {
  const options = ["--drain-timeout", "0.1", "--kill-timeout", "0.1"];
  await overBoth([...options, "--", "sleep", "60"], async (spawnd, connect) => {
    using conn = await connect();
    await spawnd.record({ message: "open" });
    const before = memoryOf(spawnd.pid);
    let sent = 0;
    const chunk = new Uint8Array(65_536);
    const flooding = (async () => {
      for (;;) sent += await conn.write(chunk);
    })().catch(() => {});
    await untilSteady("the flood", () => sent);
    assert(sent < 32 * MB, `${sent} bytes were taken`);
    const more = memoryOf(spawnd.pid) - before;
    assert(more < 16 * MB, `${more} bytes more`);
    await spawnd.stop();
    await flooding;
  });
});

testInherited(
  "a full server leaves most clients in the backlog, and serves them in the end",
  async () => {
    await overBoth(
      ["--max-connections", "1", "--queue", "1", "--queue-timeout", "60", "--", "cat"],
      async (spawnd, connect) => {
        const before = descriptorsOf(spawnd.pid);
        using first = await connect();
        await spawnd.record({ message: "open", id: 1 });
        spawnd.kill("SIGSTOP");
        const clients = await Promise.all(Array.from({ length: 300 }, connect));
        spawnd.kill("SIGCONT");
        const asking = clients.map(async (client, i) => {
          using conn = client;
          await send(conn, `${i}`);
          await conn.closeWrite();
          return text(await receiveAll(conn));
        });
        await spawnd.record({ message: /^full/ });
        const held = await untilSteady("its descriptors", () => descriptorsOf(spawnd.pid)) - before;
        assert(held < 200, `${held} more descriptors`);
        first.close();
        const answers = await within("all answers", Promise.all(asking));
        assertEquals(answers, asking.map((_, i) => `${i}`));
        assertEquals(spawnd.records({ message: "refused" }), []);
      },
    );
  },
);

testWith(
  "python3 prlimit",
  "python3 util-linux",
  "an inherited socket is served again after descriptors ran out",
  async () => {
    await overBoth(
      ["--max-connections", "3", "--queue", "100", "--", "cat"],
      async (spawnd, connect) => {
        const opened = await untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
        const limit = `--nofile=${opened + 25}:${opened + 25}`;
        assertEquals((await run(["prlimit", "--pid", `${spawnd.pid}`, limit])).code, 0);
        const conns = await Promise.all(Array.from({ length: 60 }, connect));
        await untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
        for (const conn of conns) conn.close();
        await until("it to serve again", async () => {
          using conn = await connect();
          await send(conn, "again");
          await conn.closeWrite();
          return text(await receiveAll(conn).catch(() => new Uint8Array())) === "again";
        });
      },
    );
  },
);

async function receiveAfterEnd(conn: Deno.Conn): Promise<void> {
  await conn.closeWrite();
  assertEquals(text(await receiveAll(conn)), "hello");
}

testInherited("clients of an inherited socket leave no descriptor behind", async () => {
  await overBoth(["--warm", "0", "--", "cat"], async (spawnd, connect) => {
    const descriptors = () => untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
    const client = async (leave: (conn: Deno.Conn) => Promise<unknown>) => {
      using conn = await connect();
      await send(conn, "hello");
      await leave(conn);
    };
    await client(receiveAfterEnd);
    const before = await descriptors();
    for (let i = 0; i < 20; i++) {
      await Promise.all([
        client(receiveAfterEnd),
        client((conn) => receive(conn, 1)),
        client(() => Promise.resolve()),
      ]);
    }
    await until("the descriptors to be released", () => descriptorsOf(spawnd.pid) <= before);
  });
});

testInherited("a client that stays is closed when its time is over", async () => {
  const options = ["--idle-timeout", "0.1", "--kill-timeout", "0.1", "--warm", "0"];
  await overBoth([...options, "--", "cat"], async (spawnd, connect) => {
    const opened = await untilSteady("the descriptors", () => descriptorsOf(spawnd.pid));
    using conn = await connect();
    assertEquals((await receiveAll(conn)).length, 0);
    await spawnd.record({ message: "end", reason: "idle-timeout" });
    await until("its socket to be closed", () => descriptorsOf(spawnd.pid) <= opened);
  });
});

testInherited("at SIGTERM an open connection goes on, and its socket is left alone", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/s`;
  await using spawnd = await startWith([path], "--listen", "fd:3", "--", "cat");
  using conn = await Deno.connect({ transport: "unix", path });
  await send(conn, "x");
  await receive(conn, 1);
  spawnd.kill("SIGTERM");
  await spawnd.record({ message: "draining", active: 1 });
  await send(conn, "y");
  assertEquals(text(await receive(conn, 1)), "y");
  await conn.closeWrite();
  assertEquals((await spawnd.ended()).code, 0);
  assert((await Deno.lstat(path)).isSocket);
});

testInherited("PROXY headers are read from an inherited socket", async () => {
  await using spawnd = await startWith(
    ["127.0.0.1:0"],
    ...["--listen", "fd:3", "--accept-proxy", "127.0.0.1"],
    ...["--", "sh", "-c", "echo $TCPREMOTEIP; cat"],
  );
  const header = "PROXY TCP4 192.0.2.1 198.51.100.7 54321 443\r\n";
  assertEquals(text(await ask(spawnd.port, `${header}hello`)), "192.0.2.1\nhello");
});

testWith(
  "python3 ss",
  "python3 iproute2",
  "keep-alive times are those of the inherited socket",
  async () => {
    for (
      const [options, timer] of [[[], /keepalive,1min\d+sec/], [["--no-keepalive"], /^$/]] as const
    ) {
      await using spawnd = await startWith(
        ["127.0.0.1:0"],
        "--listen",
        "fd:3",
        ...options,
        "--",
        "cat",
      );
      using conn = await spawnd.connect();
      await send(conn, "x");
      await receive(conn, 1);
      const filter = ["-Htno", "state", "established", "sport", `= :${spawnd.port}`];
      const { stdout } = await run(["ss", ...filter]);
      const [, found = ""] = /timer:\((.*?)\)/.exec(stdout) ?? [];
      assert(timer.test(found), stdout);
    }
  },
);

testWith("python3 openssl", "python3 openssl", "TLS goes over an inherited socket", async () => {
  await using certificates = await Certificates.make();
  const { folder, cert, key } = certificates;
  const permissions = ["--allow-net", "--allow-run", `--allow-read=${folder}`];
  const listen = ["--listen", "fd:3", "--cert", cert, "--key", key, "--", "cat"];
  await using spawnd = Spawnd.startingVia(opening("127.0.0.1:0"), { permissions }, ...listen);
  await spawnd.listening();
  assertEquals(await certificates.ask(spawnd, "hello"), "hello");
  assertEquals((await spawnd.record({ message: "end" })).reason, "client-closed");
});

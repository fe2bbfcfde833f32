/**
 * Programs made for inetd, started with the commands in the README of the examples.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { README, start } from "./_examples.ts";
import { text } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";
import { until, within } from "./_waiting.ts";

/** Runs git, isolated from the configuration of the user and the machine. */
async function git(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["-c", "user.name=Test", "-c", "user.email=test@example.org", ...args],
    env: { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" },
  }).output();
  assert(success, text(stderr));
  return text(stdout).trim();
}

testWith("git", "git", "git daemon serves a repository read-only", async () => {
  const base = await Deno.makeTempDir();
  const repository = `${base}/project.git`;
  assert(README.includes("git init --bare /srv/git/project.git\n"));
  await git("init", "--quiet", "--bare", repository);
  const work = `${base}/work`;
  await git("clone", "--quiet", repository, work);
  await Deno.writeTextFile(`${work}/file`, "hello\n");
  await git("-C", work, "add", "file");
  await git("-C", work, "commit", "--quiet", "--message", "first");
  await git("-C", work, "push", "--quiet", "origin", "HEAD");

  const replacements = { "--port 9418": "--port 0", "/srv/git": base };
  await using spawnd = await start("git daemon", replacements);
  const clone = `${base}/clone`;
  assert(README.includes("$ git clone git://127.0.0.1/project.git\n"));
  await git("clone", "--quiet", `git://127.0.0.1:${spawnd.port}/project.git`, clone);
  assertEquals(await Deno.readTextFile(`${clone}/file`), "hello\n");
  await spawnd.record({ message: "end", exit: 0 });
  const pushed = await git("-C", clone, "push", "--quiet", "origin", "HEAD:other").catch(String);
  assertMatch(pushed, /access denied|service not enabled/);
  await Deno.remove(base, { recursive: true });
});

testWith(
  "busybox",
  "busybox",
  "busybox httpd serves files over HTTP, one request per connection",
  async () => {
    const folder = await Deno.makeTempDir();
    const page = "<!doctype html><title>hello</title>\n".repeat(10_000);
    await Deno.writeTextFile(`${folder}/index.html`, page);
    await using spawnd = await start("busybox httpd", { "/srv/www": folder });
    const get = async (path: string) => {
      const response = await within("a response", fetch(`http://127.0.0.1:${spawnd.port}${path}`));
      const body = await within("its body", response.text());
      return { status: response.status, connection: response.headers.get("connection"), body };
    };
    for (const path of ["/", "/index.html"]) {
      assertEquals(await get(path), { status: 200, connection: "close", body: page });
    }
    assertEquals((await get("/missing")).status, 404);
    await until("three records", () => spawnd.records({ message: "end" }).length === 3);
    // A client that has read as much as was announced may close before the child has.
    for (const { exit, reason } of spawnd.records({ message: "end" })) {
      assertEquals(exit, 0);
      assertMatch(`${reason}`, /^(child|client)-closed$/);
    }
    await Deno.remove(folder, { recursive: true });
  },
);

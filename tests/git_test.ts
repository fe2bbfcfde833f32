import { assertEquals } from "@std/assert";
import { text } from "./_sockets.ts";
import { Spawnd } from "./_spawnd.ts";
import { testWith } from "./_test_with.ts";

/** Runs git, isolated from the configuration of the user and the machine. */
async function git(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["-c", "user.name=Test", "-c", "user.email=test@example.org", ...args],
    env: { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" },
  }).output();
  assertEquals([success, text(stderr)], [true, success ? text(stderr) : ""]);
  return text(stdout).trim();
}

testWith("git", "git", "a 10 MB repository is cloned through git daemon --inetd", async () => {
  const base = await Deno.makeTempDir();
  const repository = `${base}/repository`;
  await git("init", "--quiet", repository);
  for (let file = 0; file < 10; file++) {
    const random = new Uint8Array(1024 * 1024);
    for (let offset = 0; offset < random.length; offset += 65536) {
      crypto.getRandomValues(random.subarray(offset, offset + 65536)); // its limit per call
    }
    await Deno.writeFile(`${repository}/${file}`, random);
  }
  await git("-C", repository, "add", ".");
  await git("-C", repository, "commit", "--quiet", "--message", "ten megabytes");

  await using spawnd = await Spawnd.start(
    ..."-- git daemon --inetd --export-all".split(" "),
    `--base-path=${base}`,
    base,
  );
  const clone = `${base}/clone`;
  await git("clone", "--quiet", `git://127.0.0.1:${spawnd.port}/repository`, clone);
  await git("-C", clone, "fsck", "--full", "--strict");
  assertEquals(
    await git("-C", clone, "rev-parse", "HEAD"),
    await git("-C", repository, "rev-parse", "HEAD"),
  );
  const end = await spawnd.record({ message: "end" });
  assertEquals([end.exit, Number(end.out) > 10 * 1024 * 1024], [0, true]);
  await Deno.remove(base, { recursive: true });
});

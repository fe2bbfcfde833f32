/**
 * Programs that serve files, with the commands in docs/programs.md.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { client, runClient, serve, withFolder } from "./_programs.ts";
import { ask, text } from "./_sockets.ts";
import { testWith } from "./_test_with.ts";

testWith("git", "git", "git daemon takes a push when receive-pack is enabled", async () => {
  await withFolder(async (folder) => {
    const env = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
    const identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
    const git = (...args: string[]) => runClient("git", [...identity, ...args], env);
    await git("init", "--quiet", "--bare", `${folder}/project.git`);
    await using spawnd = await serve("git daemon", { "/srv/git": folder });
    const url = `git://127.0.0.1:${spawnd.port}/project.git`;

    await git("clone", "--quiet", url, `${folder}/first`);
    await Deno.writeTextFile(`${folder}/first/file`, "hello\n");
    await git("-C", `${folder}/first`, "add", "file");
    await git("-C", `${folder}/first`, "commit", "--quiet", "--message", "hello");
    await git("-C", `${folder}/first`, "push", "--quiet", "origin", "HEAD:refs/heads/main");

    await git("clone", "--quiet", "--branch", "main", url, `${folder}/second`);
    assertEquals(await Deno.readTextFile(`${folder}/second/file`), "hello\n");
  });
});

testWith(
  "svn svnadmin svnserve",
  "subversion",
  "svnserve serves a checkout, a commit and an update",
  async () => {
    await withFolder(async (folder) => {
      const svn = (...args: string[]) =>
        runClient("svn", ["--config-dir", `${folder}/config`, "--non-interactive", ...args]);
      await runClient("svnadmin", ["create", `${folder}/project`]);
      await Deno.writeTextFile(
        `${folder}/project/conf/svnserve.conf`,
        "[general]\nanon-access = write\n",
      );
      await using spawnd = await serve("svnserve", { "/srv/svn": folder });
      const url = `svn://127.0.0.1:${spawnd.port}/project`;

      for (const copy of ["first", "second"]) await svn("checkout", url, `${folder}/${copy}`);
      await Deno.writeTextFile(`${folder}/first/file`, "hello\n");
      await svn("add", `${folder}/first/file`);
      await svn("commit", "--message", "hello", `${folder}/first`);

      await svn("update", `${folder}/second`);
      assertEquals(await Deno.readTextFile(`${folder}/second/file`), "hello\n");
      assertMatch(await svn("log", url), /^r1 /m);
    });
  },
);

testWith(
  "rsync",
  "rsync",
  "an rsync daemon judges its client by hosts allow and deny",
  async () => {
    await withFolder(async (folder) => {
      await Deno.mkdir(`${folder}/data`);
      await Deno.writeTextFile(`${folder}/data/file`, "hello\n");
      const owner = `uid = ${Deno.uid()}\ngid = ${Deno.gid()}\n`;
      const module = `path = ${folder}/data\nuse chroot = no\nread only = no\n${owner}`;
      await Deno.writeTextFile(
        `${folder}/rsyncd.conf`,
        `[allowing]\n${module}hosts allow = 127.0.0.2\n[denying]\n${module}hosts deny = 127.0.0.3\n`,
      );
      await using spawnd = await serve("rsync --server", {
        "/etc/rsyncd.conf": `${folder}/rsyncd.conf`,
      });
      const rsync = (address: string, ...args: string[]) =>
        client("rsync", [`--address=${address}`, ...args]);
      const url = `rsync://127.0.0.1:${spawnd.port}`;

      const copy = `${folder}/copy`;
      assertEquals((await rsync("127.0.0.2", `${url}/allowing/file`, copy)).success, true);
      assertEquals(await Deno.readTextFile(copy), "hello\n");
      await Deno.writeTextFile(copy, "changed\n");
      assertEquals((await rsync("127.0.0.2", copy, `${url}/denying/new`)).success, true);
      assertEquals(await Deno.readTextFile(`${folder}/data/new`), "changed\n");

      for (const module of ["allowing", "denying"]) {
        const { success, stderr } = await rsync("127.0.0.3", `${url}/${module}/`);
        assertEquals(success, false);
        assertMatch(stderr, /@ERROR: access denied to \w+ from .*127\.0\.0\.3/);
      }
    });
  },
);

testWith(
  "sqlite3",
  "sqlite3",
  "sqlite3 answers each query, and may neither write nor run commands",
  async () => {
    await withFolder(async (folder) => {
      const database = `${folder}/data.db`;
      const setUp = "create table fruit(name); insert into fruit values('apple'), ('pear');";
      await runClient("sqlite3", [database, setUp]);
      await using spawnd = await serve("sqlite3", { "/srv/data.db": database });
      const query = async (sql: string) => text(await ask(spawnd.port, `${sql}\n`));

      assertEquals(
        await query("select count(*) from fruit;\nselect name from fruit;"),
        "2\napple\npear\n",
      );
      assertEquals(await query("delete from fruit;"), "");
      assertEquals(await query(`.shell touch ${folder}/touched`), "");
      assertEquals(await query("select count(*) from fruit;"), "2\n");
      assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["data.db"]);
    });
  },
);

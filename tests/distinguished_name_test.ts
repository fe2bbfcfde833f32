import { assertEquals } from "@std/assert";
import { subjectOf } from "../lib/net/distinguished_name.ts";
import { testTls } from "./_certificates.ts";
import { text } from "./_sockets.ts";

/** The subjects, as openssl's configuration has them. */
const SUBJECTS = {
  "usual parts": "0.DC=org\n1.DC=example\nC=DE\nO=An Organization\nOU=Unit\nCN=alice",
  "what has to be escaped": 'O=a, b + c; d \\"e\\" \\\\ <f>\nOU=\\#g\nCN=h\\\ni,CN=admin',
  "what has to be escaped at an edge": 'O=" a "\nCN=\\#x',
  "a part of two attributes": "O=x\nCN=alice\n+UID=u1",
  "a name in two parts": "CN=alice + CN=bob\nCN=carol",
  "other types": "serialNumber=77\n1.2.840.113556.1.4.656=user\nemailAddress=a@example.org",
  "other scripts": "O=Ünïcödé\nCN=名前",
};

for (const [what, subject] of Object.entries(SUBJECTS)) {
  testTls(`a subject reads as openssl writes it: ${what}`, async () => {
    const folder = await Deno.makeTempDir();
    const [config, key, cert] = ["config", "key", "cert"].map((name) => `${folder}/${name}`);
    await Deno.writeTextFile(
      config!,
      `[req]\ndistinguished_name=subject\nprompt=no\nutf8=yes\nstring_mask=utf8only\n[subject]\n${subject}\n`,
    );
    const run = async (...args: string[]) => {
      const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
      assertEquals([success, success ? "" : text(stderr)], [true, ""]);
      return text(stdout);
    };
    await run(
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -multivalue-rdn".split(" "),
      ...["-days", "1", "-config", config!, "-keyout", key!, "-out", cert!],
    );
    const shown = await run(
      ..."x509 -noout -subject -nameopt dn_rev,sep_comma_plus,esc_2253,esc_ctrl,utf8".split(" "),
      ...["-nameopt", "sname", "-in", cert!],
    );
    const der = await new Deno.Command("openssl", {
      args: ["x509", "-in", cert!, "-outform", "der"],
    }).output();
    assertEquals(`subject=${subjectOf(der.stdout).text}\n`, shown);
    await Deno.remove(folder, { recursive: true });
  });
}

import { assertEquals, assertThrows } from "@std/assert";
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

/** A value in DER. */
function der(tag: number, ...contents: number[]): number[] {
  const { length } = contents;
  return [tag, ...(length < 0x80 ? [length] : [0x82, length >> 8, length & 255]), ...contents];
}

/** A certificate, as far as it is read, with a subject of one attribute. */
function certificateWith(...attribute: number[]): Uint8Array {
  const subject = der(0x30, ...der(0x31, ...der(0x30, ...attribute)));
  return Uint8Array.from(
    der(0x30, ...der(0x30, ...der(2, 1), ...der(0x30), ...der(0x30), ...der(0x30), ...subject)),
  );
}

const COMMON_NAME = der(6, 0x55, 4, 3);
const bytesOf = (value: string) => [...new TextEncoder().encode(value)];

Deno.test("names that differ never read the same", () => {
  const read = (...attribute: number[]) => subjectOf(certificateWith(...attribute)).text;
  assertEquals(read(...COMMON_NAME, ...der(12, ...bytesOf("al"))), "CN=al");
  assertEquals(read(...COMMON_NAME, ...der(12, ...bytesOf("\ufeffal"))), "CN=\\EF\\BB\\BFal");
  assertEquals(read(...COMMON_NAME, ...der(30, 0xfe, 0xff, 0, 0x61)), "CN=\\EF\\BB\\BFa");
  assertEquals(read(...COMMON_NAME, ...der(20, 0x80, 0xe9)), "CN=\\C2\\80é");
  assertEquals(read(...COMMON_NAME, ...der(2, 7)), "2.5.4.3=#020107");
  assertEquals(read(...der(6, 0x55, 4, 0x83, 3), ...der(12, 0x61)), "2.5.4.387=a");
});

Deno.test("a malformed subject is an error", () => {
  const value = der(12, 0x61);
  for (
    const attribute of [
      [],
      COMMON_NAME,
      [...COMMON_NAME, ...value, ...value],
      [...der(2, 0x55, 4, 3), ...value], // not an identifier
      [...der(6, 0x55, 4, 0x80, 3), ...value], // a leading zero
      [...der(6, 0x55, 4, 0x83), ...value], // not complete
      [...der(6), ...value],
      [...der(6, 0x55, ...Array(20).fill(0xff), 1), ...value],
      [...COMMON_NAME, 12, 0x7f, 0x61], // longer than what is there
      [...COMMON_NAME, 12, 0x80, 0x61, 0, 0], // without a length
      [...COMMON_NAME, ...der(12, 0xff)],
      [...COMMON_NAME, ...der(19, 0x80)],
      [...COMMON_NAME, ...der(30, 0)],
      [...COMMON_NAME, ...der(30, 0xd8, 0)],
    ]
  ) {
    assertThrows(() => subjectOf(certificateWith(...attribute)));
  }
  assertThrows(() => subjectOf(new Uint8Array()), Error, "malformed");
});

/**
 * The distinguished name of a certificate's subject, as RFC 2253 writes it.
 *
 * node's `X509Certificate.subject` is not used, because two different names can read the same in it:
 * it escapes neither line breaks nor plus signs, which separate its parts (seen on Deno 2.9).
 *
 * @module
 */

/** A subject. */
export interface DistinguishedName {
  /** The whole name, its last part first; control characters are escaped too. */
  readonly text: string;
  /** Its common name; the last if it has several, as in OpenSSL. */
  readonly commonName: string | undefined;
}

/** The names of attribute types: those of RFC 2253, and of what else is common. */
const TYPES: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.4": "SN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "street",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.12": "title",
  "2.5.4.42": "GN",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "emailAddress",
};

/** How the strings of ASN.1 are encoded, by their tag. */
const ENCODINGS: Readonly<Record<number, "ascii" | "latin1" | "utf-8" | "utf-16be">> = {
  12: "utf-8", // UTF8String
  18: "ascii", // NumericString
  19: "ascii", // PrintableString
  20: "latin1", // TeletexString
  22: "ascii", // IA5String
  26: "ascii", // VisibleString
  30: "utf-16be", // BMPString
};
const OBJECT_ID = 6;

/** A value in DER: its tag, its contents, and all of its bytes. */
interface Value {
  readonly tag: number;
  readonly contents: Uint8Array;
  readonly bytes: Uint8Array;
}

/**
 * The subject of a certificate in DER.
 *
 * @throws The subject is malformed: who verifies a certificate does not look into it, and two names
 * must not read the same because one of them is guessed.
 */
export function subjectOf(certificate: Uint8Array): DistinguishedName {
  const [outer = malformed()] = valuesIn(certificate);
  const [signed = malformed()] = valuesIn(outer.contents);
  const fields = valuesIn(signed.contents).filter(({ tag }) => tag !== VERSION);
  const [_serial, _algorithm, _issuer, _validity, subject = malformed()] = fields;
  const parts = valuesIn(subject.contents).map((part) =>
    valuesIn(part.contents).map(readAttribute)
  );
  const text = parts
    .map((part) => part.map(({ type, escaped }) => `${type}=${escaped}`).reverse().join("+"))
    .reverse().join(",");
  return { text, commonName: parts.flat().findLast(({ type }) => type === "CN")?.value };
}

/** The tag of a certificate's version, which those of version 1 have not. */
const VERSION = 0xa0;

/** The values that follow one another in `bytes`. */
function valuesIn(bytes: Uint8Array): Value[] {
  const values: Value[] = [];
  for (let at = 0; at < bytes.length;) {
    let start = at + 2;
    let length = bytes[at + 1] ?? malformed();
    if (length === 0x80) malformed(); // without a length
    if (length > 0x80) { // the number of bytes that hold the length
      const end = start + length - 0x80;
      for (length = 0; start < end; start++) length = length * 256 + (bytes[start] ?? malformed());
    }
    const end = start + length;
    if (end > bytes.length) malformed();
    values.push({
      tag: bytes[at]!,
      contents: bytes.subarray(start, end),
      bytes: bytes.subarray(at, end),
    });
    at = end;
  }
  return values;
}

function readAttribute({ contents }: Value): { type: string; escaped: string; value?: string } {
  const [id = malformed(), content = malformed(), ...others] = valuesIn(contents);
  if (id.tag !== OBJECT_ID || others.length > 0) malformed();
  const type = readObjectId(id.contents);
  const encoding = ENCODINGS[content.tag];
  if (encoding === undefined) return { type, escaped: `#${hex(content.bytes)}` };
  const value = readText(content.contents, encoding);
  return { type: TYPES[type] ?? type, escaped: escape(value), value };
}

function readObjectId(bytes: Uint8Array): string {
  const numbers: number[] = [];
  let number = 0;
  let isComplete = true;
  for (const byte of bytes) {
    if (isComplete && byte === 0x80) malformed(); // a leading zero
    number = number * 128 + (byte & 0x7f);
    if (number > Number.MAX_SAFE_INTEGER) malformed();
    isComplete = byte < 0x80;
    if (!isComplete) continue;
    if (numbers.length > 0) numbers.push(number);
    else { // the first two share a number
      const first = Math.min(2, Math.floor(number / 40));
      numbers.push(first, number - first * 40);
    }
    number = 0;
  }
  return isComplete && numbers.length > 0 ? numbers.join(".") : malformed();
}

/** Text, of which no byte may be dropped or replaced. */
function readText(bytes: Uint8Array, encoding: "ascii" | "latin1" | "utf-8" | "utf-16be"): string {
  if (encoding === "ascii" && bytes.some((byte) => byte > 0x7f)) malformed();
  if (encoding === "latin1") return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes);
}

function malformed(): never {
  throw new Error("the certificate's subject is malformed");
}

function escape(value: string): string {
  return value
    .replaceAll(/[,+"\\<>;]|^[# ]|(?<=.) $/g, "\\$&")
    .replaceAll(
      /[\p{C}\p{Zl}\p{Zp}]/gu,
      (character) => hex(new TextEncoder().encode(character)).replaceAll(/../g, "\\$&"),
    );
}

function hex(bytes: Uint8Array): string {
  return bytes.toHex().toUpperCase();
}

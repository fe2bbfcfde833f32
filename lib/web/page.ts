export const CONTENT_SECURITY_POLICY: Promise<string> = Promise.resolve("default-src 'none'");
export function pageFor(framing: string): string {
  return framing;
}

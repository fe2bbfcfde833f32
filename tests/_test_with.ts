/**
 * Tests that need programs besides Deno, or root.
 *
 * @module
 */

/**
 * Declares a test that needs programs besides Deno. Programs and the Debian packages that provide
 * them are separated by spaces. If a program is missing, the test is ignored, and its name says what
 * to install.
 */
export function testWith(
  programs: string,
  debianPackages: string,
  name: string,
  fn: () => Promise<void>,
): void {
  const areInstalled = programs.split(" ").every((program) =>
    new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" })
      .outputSync().success
  );
  Deno.test({
    name: `${name} (needs ${programs}: apt-get install ${debianPackages})`,
    ignore: !areInstalled,
    fn,
  });
}

/** Declares a test that only root can run. */
export function testAsRoot(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs root)`, ignore: Deno.uid() !== 0, fn });
}

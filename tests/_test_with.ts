/**
 * Tests that need programs besides Deno.
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

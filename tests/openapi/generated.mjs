#!/usr/bin/env node
/* Makes a TypeScript client of api/openapi.json by @hey-api/openapi-ts, checks it with drive.ts by tsc --strict, and
 * runs that against a daemon.
 *   OPENAPI_TOOLS=build/openapi-tools generated.mjs URL */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const bin = join(resolve(process.env.OPENAPI_TOOLS), "node_modules/.bin");
const directory = mkdtempSync(join(tmpdir(), "futured-generated-"));
const made = join(directory, "made");

function run(program, ...args) {
  try {
    execFileSync(program, args, { cwd: directory, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    throw new Error(`${program} failed:\n${error.stdout ?? ""}${error.stderr ?? ""}`);
  }
}

try {
  run(join(bin, "openapi-ts"), "-i", join(here, "../../api/openapi.json"), "-o", made, "-c", "@hey-api/client-fetch");
  copyFileSync(join(here, "drive.ts"), join(made, "drive.ts"));
  writeFileSync(join(directory, "node.d.ts"), `declare module "node:assert" { export const strict: {
    equal(a: unknown, b: unknown): void; deepEqual(a: unknown, b: unknown): void; ok(a: unknown): void } }
    declare const process: { argv: string[]; exit(status: number): never };`);
  writeFileSync(join(directory, "package.json"), '{"type":"commonjs"}');
  run(join(bin, "tsc"), "--strict", "--skipLibCheck", "--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10",
    "--lib", "es2022,dom,dom.iterable", "--outDir", "out", "node.d.ts", join(made, "drive.ts"));
  run(process.execPath, join(directory, "out/drive.js"), process.argv[2]);
} finally {
  rmSync(directory, { recursive: true, force: true });
}

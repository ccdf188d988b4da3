import { strict as assert } from "node:assert";
import { UsageError } from "./commands/exit.ts";
import { requireConstitution } from "./constitution_check.ts";
import { constitutionFiles, DEFAULT_CONSTITUTION_FOLDER } from "./constitution_folder.ts";

async function refusal(...parts: readonly string[]): Promise<string> {
  try {
    await requireConstitution(parts, "somewhere");
    return "taken";
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

Deno.test("what cannot govern is refused before anything starts, with the reason", async () => {
  const files = constitutionFiles("getting_started/constitution_veto").map((file) => Deno.readTextFileSync(file));
  assert.equal(await refusal(...files), "taken");
  const ours = constitutionFiles(DEFAULT_CONSTITUTION_FOLDER).map((file) => Deno.readTextFileSync(file));
  assert.equal(await refusal(...ours), "taken");
  assert.match(await refusal(...ours, "export function {"), /^Cannot use the constitution in somewhere: .*compile/);
  assert.match(await refusal("export function validate(p) {}"), /does not export a function named apply/);
});

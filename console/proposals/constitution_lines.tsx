/** The lines of the constitution that an error names, with their source as it is folded. */

import { CONSTITUTION } from "../../shared/governance/tables.ts";
import { foldedValue } from "../folded.ts";
import { constitutionLines } from "../governance/stack_lines.ts";
import { useLedger } from "../hooks.ts";
import { ForeignText } from "../parts/foreign_text.tsx";
import { linkTo } from "../routes.ts";

export function ConstitutionLines({ error }: { readonly error: string }) {
  const constitution = useLedger((ledger) => foldedValue(ledger, CONSTITUTION), []);
  const frames = constitutionLines(error);
  if (frames.length === 0) return null;
  const source = constitution.kind === "ready" ? constitution.value?.value.split("\n") : undefined;
  return (
    <div class="stack-tight">
      <p>
        In the <a href={linkTo("constitution")}>constitution</a>, the innermost line first:
      </p>
      <ol class="small">
        {frames.map(({ functionName, line }, i) => (
          <li key={i}>
            line {line}, <code class="foreign">{functionName}</code>
            {source?.[line - 1] !== undefined && (
              <>
                :{" "}
                <code>
                  <ForeignText text={source[line - 1]!.trim()} what="the line" />
                </code>
              </>
            )}
          </li>
        ))}
      </ol>
    </div>
  );
}

/** Evidence field by field. */

import { useMemo } from "preact/hooks";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { readFields } from "./evidence_fields.ts";

/** @param raw base64 */
export function FieldTable({ format, raw }: { readonly format: string; readonly raw: string }) {
  const fields = useMemo(() => readFields(format, raw), [format, raw]);
  if (typeof fields === "string") {
    return <p class="notice notice-warn foreign">The evidence cannot be taken apart: {fields}</p>;
  }
  const hasOffsets = format !== "Insecure_Virtual";
  return (
    <details>
      <summary>The evidence field by field ({fields.length} fields)</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label="Fields of the evidence">
        <table class="fields">
          <thead>
            <tr>
              {hasOffsets && <th scope="col">Bytes</th>}
              <th scope="col">Field</th>
              <th scope="col">Value</th>
              <th scope="col">Meaning</th>
            </tr>
          </thead>
          <tbody>
            {fields.map(({ name, offset, length, hex, value, meaning }) => (
              <tr key={`${offset} ${name}`}>
                {hasOffsets && (
                  <td class="mono small">
                    {offset}–{offset + length - 1}
                  </td>
                )}
                <td>{name}</td>
                <td>
                  {value !== undefined && (
                    <div>
                      <ForeignText text={value} maxCharacters={400} what={name} />
                    </div>
                  )}
                  {hex !== "" && (
                    <code class="anywhere small">
                      <ForeignText text={hex} maxCharacters={128} what={name} />
                    </code>
                  )}
                </td>
                <td class="small">{meaning}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

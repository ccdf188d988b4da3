/** "Who am I": which member the lists are sorted for. */

import { useId } from "preact/hooks";
import { chooseMe, me } from "../governance/me.ts";

export function MeSelect({ members, names }: {
  readonly members: readonly string[];
  readonly names: ReadonlyMap<string, string>;
}) {
  const id = useId();
  const chosen = me.value;
  const isKnown = chosen === undefined || members.includes(chosen);
  return (
    <div class="field">
      <label htmlFor={id}>I am</label>
      <select
        id={id}
        value={chosen ?? ""}
        onChange={({ currentTarget }) => chooseMe(currentTarget.value === "" ? undefined : currentTarget.value)}
      >
        <option value="">nobody in particular</option>
        {members.map((member) => <option key={member} value={member}>{names.get(member) ?? member.slice(0, 12)}
        </option>)}
        {!isKnown && <option value={chosen}>no member here ({chosen!.slice(0, 12)})</option>}
      </select>
    </div>
  );
}

/** What a proposal asks for, action by action: the words of the forms beside what stands in its signed text. */

import { wordsOf } from "../../governance/lanes.ts";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { ShowAll } from "../../parts/show_all.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { actionForm } from "../../governance/action_forms.ts";

export function ActionsInWords({ text }: { readonly text: Uint8Array }) {
  const words = wordsOf(text);
  if (words === undefined) {
    return <Verdict kind="cannot">It is not JSON: what it does depends on the constitution alone</Verdict>;
  }
  if (words.actions === undefined) {
    return (
      <p>
        No list of actions: <ForeignText text={words.text} what="the proposal" />
      </p>
    );
  }
  if (words.actions.length === 0) return <p>No action at all.</p>;
  return (
    <ShowAll of={words.actions} what="actions" wrap={(items) => <ol class="stack-tight">{items}</ol>}>
      {({ name, args }) => {
        // The constitution in force decides what a name does; ours is what the words are of.
        const form = actionForm(name);
        return (
          <li>
            {form !== undefined && <strong>{form.title}</strong>}{" "}
            <code>
              <ForeignText text={name} what="the action's name" />
            </code>
            {form !== undefined && <p class="small soft">{form.about}</p>}
            {args.length === 0 ? <p class="soft">without arguments</p> : (
              <dl class="facts action-words">
                {args.flatMap(([arg, value], j) => [
                  <dt key={`${j} name`}>
                    {arg === "" ? "arguments" : <ForeignText text={arg} what="the argument's name" />}
                  </dt>,
                  <dd key={j}>
                    <ForeignText text={value} what={`the argument ${j + 1}`} />
                  </dd>,
                ])}
              </dl>
            )}
          </li>
        );
      }}
    </ShowAll>
  );
}

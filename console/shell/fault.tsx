/** Keeps the rest of the page usable where one screen throws: the error is shown in its place. */

import { Component, type ComponentChildren } from "preact";
import { ProblemNote } from "../parts/states.tsx";
import { problemOf } from "../problem.ts";

export class Fault extends Component<{ readonly children: ComponentChildren }, { error?: unknown }> {
  override componentDidCatch(error: unknown): void {
    this.setState({ error });
  }

  override render() {
    if (this.state.error === undefined) return this.props.children;
    return (
      <div class="stack">
        <h1>This screen failed</h1>
        <ProblemNote problem={problemOf(this.state.error)}>
          <button type="button" class="button" onClick={() => this.setState({ error: undefined })}>Try again</button>
        </ProblemNote>
      </div>
    );
  }
}

/** The nodes of a service drawn: who leads, who follows, who is silent. The table beside it says the same. */

import { useId } from "preact/hooks";
import { visibleText } from "../../parts/invisible.ts";
import { linkTo } from "../../routes.ts";
import { isSilent, type NodeFacts, type SaidConsensus } from "./node_facts.ts";

const WIDTH = 640;
const BOX = { width: 148, height: 46 };
const MAX_DRAWN = 12;

export function Topology({ nodes, consensus }: {
  readonly nodes: readonly NodeFacts[];
  readonly consensus: SaidConsensus | undefined;
}) {
  const id = useId();
  const drawn = nodes.filter(({ status }) => status !== "Retired").slice(0, MAX_DRAWN);
  const primary = drawn.find((node) => node.id === consensus?.primaryId);
  const others = drawn.filter((node) => node !== primary);
  const rows = Math.max(1, Math.ceil(others.length / 4));
  const height = 40 + BOX.height + 90 * rows;
  const top = { x: WIDTH / 2, y: 16 };
  const place = (i: number) => {
    const row = Math.floor(i / 4);
    const inRow = Math.min(4, others.length - row * 4);
    return { x: (WIDTH / (inRow + 1)) * (i % 4 + 1), y: 16 + BOX.height + 44 + row * 90 };
  };
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Drawing of the nodes">
      <svg
        class="topology"
        width={WIDTH}
        height={height}
        viewBox={`0 0 ${WIDTH} ${height}`}
        role="group"
        aria-labelledby={id}
      >
        <title id={id}>Nodes of the service; the table of nodes says the same</title>
        {primary !== undefined && others.map((node, i) => {
          const to = place(i);
          const silent = consensus !== undefined && isSilent(consensus, node.id);
          return (
            <line
              key={node.id}
              class={silent || node.status === "Pending" ? "topology-wire topology-cut" : "topology-wire"}
              x1={top.x}
              y1={top.y + BOX.height}
              x2={to.x}
              y2={to.y}
            />
          );
        })}
        {primary !== undefined && <NodeBox node={primary} x={top.x} y={top.y} word="primary, it says" isPrimary />}
        {others.map((node, i) => (
          <NodeBox
            key={node.id}
            node={node}
            {...place(i)}
            word={node.status === "Pending"
              ? "pending"
              : consensus !== undefined && isSilent(consensus, node.id)
              ? "not heard of"
              : primary === undefined
              ? "trusted"
              : "backup"}
          />
        ))}
      </svg>
      {nodes.length > drawn.length && <p class="small soft">Retired nodes, and more than {MAX_DRAWN}, are not drawn.
      </p>}
    </div>
  );
}

function NodeBox({ node, x, y, word, isPrimary = false }: {
  readonly node: NodeFacts;
  readonly x: number;
  readonly y: number;
  readonly word: string;
  readonly isPrimary?: boolean;
}) {
  const called = node.name === undefined ? `${node.id.slice(0, 10)}…` : visibleText(node.name);
  return (
    <a href={linkTo("attestation", node.id)}>
      <rect
        class={isPrimary ? "topology-box topology-primary" : "topology-box"}
        x={x - BOX.width / 2}
        y={y}
        width={BOX.width}
        height={BOX.height}
        rx={6}
      />
      <text class="topology-name" x={x} y={y + 20} text-anchor="middle">
        {called.length > 18 ? `${called.slice(0, 17)}…` : called}
      </text>
      <text class="topology-word" x={x} y={y + 37} text-anchor="middle">{word}</text>
    </a>
  );
}

/**
 * The way from a leaf to a signed root: drawn, and as a list that says the same.
 *
 * Each hash on the way is computed here, so that the drawing shows what the path leads to, not what somebody says.
 */

import type { ComponentChildren } from "preact";
import { useId, useMemo } from "preact/hooks";
import { Hash } from "./hash.tsx";
import { merkleLevels, type PathStepHex } from "./merkle_levels.ts";
import { Verdict } from "./verdict.tsx";
import "./values.css";

const WIDTH = 560;
const ROW = 62;
const BOX = { width: 152, height: 38 };
const CENTRE = WIDTH / 2;

/**
 * @param leaf hex; @param path from the leaf upwards, hex; @param root what was signed, hex
 * @param leafParts what the leaf is the hash of, where that is known
 * @param signedBy who signed the root, in words or links
 * @param isSigned whether the root was seen to be signed: where the path is of a receipt, that is another question
 */
export function MerklePath({ leaf, leafParts = [], path, root, signedBy, isSigned = true }: {
  readonly leaf: string;
  readonly leafParts?: readonly { readonly name: string; readonly hash: string }[];
  readonly path: readonly PathStepHex[];
  readonly root: string;
  readonly signedBy?: ComponentChildren;
  readonly isSigned?: boolean;
}) {
  const { hashes, broken } = useMemo(() => merkleLevels(leaf, path), [leaf, path]);
  const reached = broken === undefined ? hashes.at(-1)! : undefined;
  return (
    <div class="stack">
      <p>
        {reached === root && !isSigned
          ? (
            <Verdict kind="cannot">
              The leaf and {stepWords(path.length)} lead to a root that is not seen to be signed
            </Verdict>
          )
          : reached === root
          ? <Verdict kind="verified">The leaf and {stepWords(path.length)} lead to the signed root</Verdict>
          : (
            <Verdict kind="failed">
              {broken ?? "The leaf and the steps lead to another root than the one that was signed"}
            </Verdict>
          )}
      </p>
      <div class="scroll" tabindex={0} role="region" aria-label="Drawing of the path">
        <Drawing hashes={hashes} path={path.slice(0, hashes.length - 1)} isRoot={reached === root} />
      </div>
      <details open={path.length <= 4}>
        <summary>The same as a list</summary>
        <ol class="path-list">
          <li>
            Leaf <Hash value={leaf} of="hash of the leaf" />
            {leafParts.length > 0 && (
              <ul>
                {leafParts.map(({ name, hash }) => (
                  <li key={name}>
                    from the {name} <Hash value={hash} of={name} />
                  </li>
                ))}
              </ul>
            )}
          </li>
          {path.map(({ side, hash }, i) => (
            <li key={i}>
              Sibling on the {side} <Hash value={hash} of={`sibling ${i + 1}, on the ${side}`} />
              {hashes[i + 1] !== undefined && (
                <>
                  {" "}gives <Hash value={hashes[i + 1]!} of={`node of level ${i + 1}`} />
                </>
              )}
            </li>
          ))}
          <li>
            {isSigned ? "Signed root" : "Root"} <Hash value={root} of={isSigned ? "signed root" : "root"} />
            {signedBy !== undefined && <>, signed by {signedBy}</>}
          </li>
        </ol>
      </details>
    </div>
  );
}

const stepWords = (count: number) => count === 1 ? "1 step" : `${count} steps`;

function Drawing({ hashes, path, isRoot }: {
  readonly hashes: readonly string[];
  readonly path: readonly PathStepHex[];
  readonly isRoot: boolean;
}) {
  const id = useId();
  const top = hashes.length - 1;
  const height = hashes.length * ROW + 16;
  const y = (level: number) => 8 + (top - level) * ROW;
  const siblingX = (side: "left" | "right") => side === "left" ? BOX.width / 2 + 4 : WIDTH - BOX.width / 2 - 4;
  return (
    <svg
      class="path"
      width={WIDTH}
      height={height}
      viewBox={`0 0 ${WIDTH} ${height}`}
      role="group"
      aria-labelledby={id}
    >
      <title id={id}>Merkle path: the leaf at the bottom, the root at the top</title>
      {path.map(({ side }, i) => {
        const [from, to, middle] = [y(i), y(i + 1) + BOX.height, (y(i) + y(i + 1) + BOX.height) / 2];
        return (
          <path
            key={`wire ${i}`}
            class="path-wire"
            d={`M${CENTRE} ${from}V${to}M${siblingX(side)} ${from}V${middle}H${CENTRE}`}
          />
        );
      })}
      {hashes.map((hash, level) => (
        <Node
          key={`node ${level}`}
          x={CENTRE}
          y={y(level)}
          look={level === 0 || (level === top && isRoot) ? "path-end" : ""}
          word={level === 0
            ? (top === 0 && isRoot ? "leaf and root" : "leaf")
            : level === top && isRoot
            ? "root"
            : `level ${level}`}
          hash={hash}
        />
      ))}
      {path.map(({ side, hash }, i) => (
        <Node
          key={`sibling ${i}`}
          x={siblingX(side)}
          y={y(i)}
          look="path-given"
          word={`${side} sibling ${i + 1}`}
          hash={hash}
        />
      ))}
    </svg>
  );
}

function Node({ x, y, look, word, hash }: {
  readonly x: number;
  readonly y: number;
  readonly look: string;
  readonly word: string;
  readonly hash: string;
}) {
  return (
    <g class={look} tabindex={0} role="img" aria-label={`${word}: ${hash}`}>
      <title>{`${word}: ${hash}`}</title>
      <rect
        class="path-box"
        x={x - BOX.width / 2}
        y={y}
        width={BOX.width}
        height={BOX.height}
        rx={5}
      />
      <text class="path-word" x={x} y={y + 15} text-anchor="middle">{word}</text>
      <text x={x} y={y + 30} text-anchor="middle">{`${hash.slice(0, 8)}…${hash.slice(-6)}`}</text>
    </g>
  );
}

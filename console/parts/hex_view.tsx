/** Bytes in hex, sixteen to a line where there is room, with what each range of them means. */

import { useMemo, useState } from "preact/hooks";
import { hexLine, type HexRange, rangeAt } from "./hex_lines.ts";
import { ForeignText } from "./foreign_text.tsx";
import { VirtualList } from "./virtual_list.tsx";
import "./values.css";

/** @param ranges neighbouring, in order; left out: no meanings are known */
export function HexView({ bytes, label, ranges }: {
  readonly bytes: Uint8Array;
  readonly label: string;
  readonly ranges?: readonly HexRange[];
}) {
  const lineBytes = useMemo(() => matchMedia("(max-width: 40rem)").matches ? 8 : 16, []);
  const [line, setLine] = useState<number | undefined>(undefined);
  const [range, setRange] = useState<number | undefined>(undefined);
  const columns = useMemo(() => [
    { label: "Offset", width: "5rem", narrow: "4rem" },
    { label: "Bytes", width: "minmax(0, 25rem)" },
    { label: "As text", width: "9.5rem", wide: true },
    ...ranges === undefined ? [] : [{ label: "What", width: "minmax(6rem, 1fr)", wide: true }],
  ], [ranges]);
  const whatOf = (row: number) => {
    if (ranges === undefined) return [];
    const from = rangeAt(ranges, row * lineBytes);
    const to = rangeAt(ranges, Math.min((row + 1) * lineBytes, bytes.length) - 1);
    return [
      <ForeignText
        text={ranges.slice(from, to + 1).map(({ what }) => what).join(" · ")}
        maxCharacters={120}
        row
      />,
    ];
  };
  return (
    <div class="stack-tight">
      <VirtualList
        label={label}
        class="hex"
        columns={columns}
        rows={Math.ceil(bytes.length / lineBytes)}
        chosen={line}
        onChoose={(row) => {
          setLine(row);
          setRange(ranges === undefined ? undefined : rangeAt(ranges, row * lineBytes));
        }}
        cells={(row) => {
          const parts = hexLine(bytes, row, lineBytes, ranges, range);
          return [
            (row * lineBytes).toString(16).padStart(6, "0"),
            parts.map(({ hex, look }, i) => <span key={i} class={look === "" ? undefined : `hex-${look}`}>{hex}</span>),
            parts.map(({ text }) => text).join(""),
            ...whatOf(row),
          ];
        }}
      />
      {ranges !== undefined && (
        <details>
          <summary>What the bytes mean: {ranges.length} ranges</summary>
          <VirtualList
            label={`${label}: ranges`}
            columns={[
              { label: "Bytes", width: "9rem" },
              { label: "What", width: "minmax(0, 1fr)" },
              { label: "Value", width: "minmax(0, 1fr)", wide: true },
            ]}
            rows={ranges.length}
            chosen={range}
            onChoose={(row) => {
              setRange(row);
              setLine(Math.floor(ranges[row]!.start / lineBytes));
            }}
            cells={(row) => {
              const { start, end, what, value } = ranges[row]!;
              return [
                <span class="mono">{start}–{end - 1}</span>,
                <ForeignText text={what} maxCharacters={200} row />,
                value === undefined ? "" : <ForeignText text={value} maxCharacters={120} row />,
              ];
            }}
          />
        </details>
      )}
    </div>
  );
}

/**
 * Which lines of the constitution an error came from, as the script engine writes them.
 *
 *     at checkCertificate (public:ccf.gov.constitution[0]:68)
 */

const FRAME = /at (\S+) \(public:ccf\.gov\.constitution\[0\]:(\d+)(?::\d+)?\)/g;
const MAX_FRAMES = 12;

export interface StackLine {
  readonly functionName: string;
  /** From 1. */
  readonly line: number;
}

/** Innermost first; none where the text names none. */
export function constitutionLines(text: string): readonly StackLine[] {
  return [...text.matchAll(FRAME)].slice(0, MAX_FRAMES).map(([, functionName, line]) => ({
    functionName: functionName!,
    line: Number(line),
  }));
}

/** One measured figure. */
export interface Figure {
  readonly group: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** What was hoped for, in the same unit; smaller is better for times. */
  readonly target?: number;
  readonly note?: string;
}

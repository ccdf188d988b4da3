/**
 * Processor time and memory of another process, as Linux counts them.
 *
 * In: its ID. Out: what it has used so far. Time that a busy machine makes it wait does not count, so that this is steadier
 * than anything per second.
 */

export interface ProcessStat {
  /** In user mode and in the kernel, all threads. */
  readonly cpuSeconds: number;
  /** Memory now, and the most there ever was. */
  readonly residentBytes: number;
  readonly peakBytes: number;
}

/** Linux counts in hundredths of a second towards programs, whatever it does inside (`man 5 proc`, USER_HZ). */
const TICKS_PER_SECOND = 100;

/** Rejects where there is no such process. */
export async function statOf(pid: number): Promise<ProcessStat> {
  const text = await readProc(`/proc/${pid}/stat`);
  // The second field, a name in parentheses, may hold anything; the third comes behind the last parenthesis.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  const status = await readProc(`/proc/${pid}/status`);
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1]);
  return {
    cpuSeconds: (userTicks + systemTicks) / TICKS_PER_SECOND,
    residentBytes: 1024 * kib("VmRSS"),
    peakBytes: 1024 * kib("VmHWM"),
  };
}

/** By another program: Deno reads these files itself only with every permission there is. */
async function readProc(path: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("cat", { args: [path] }).output();
  if (code !== 0) throw new Error(`Cannot read ${path}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

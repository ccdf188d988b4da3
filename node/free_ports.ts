/**
 * Whether the ports that a node wants are free, before it writes anything.
 *
 * A port found free can be taken a moment later: this is for a clear message in the usual case, and listening can still
 * fail.
 */

import { UsageError } from "./commands/exit.ts";
import { formatAddress } from "./units.ts";

/**
 * Tries all of the ports at once; 0 stands for one that the system chooses, and is always free.
 *
 * @throws UsageError that names each port that cannot be had, or once the host that is wrong for all, and what to do
 */
export function requireFreePorts(host: string, ports: readonly number[]): void {
  const listeners: Deno.Listener[] = [];
  const problems = new Set<string>();
  try {
    for (const port of ports) {
      try {
        listeners.push(Deno.listen({ hostname: host, port }));
      } catch (error) {
        problems.add(problemOf(host, port, error));
      }
    }
  } finally {
    for (const listener of listeners) listener.close();
  }
  if (problems.size > 0) throw new UsageError([...problems].join("\n"));
}

/** A port that is free at this moment, for listeners that must be told one. @throws UsageError */
export function choosePort(host: string): number {
  try {
    using listener = Deno.listen({ hostname: host, port: 0 });
    return (listener.addr as Deno.NetAddr).port;
  } catch (error) {
    throw new UsageError(problemOf(host, 0, error));
  }
}

function problemOf(host: string, port: number, error: unknown): string {
  const byPort = whyNotPort(error);
  return byPort === undefined
    ? `Cannot listen on ${host}: ${whyNotHost(error)}`
    : `Cannot listen on ${formatAddress({ host, port })}: ${byPort}`;
}

function whyNotPort(error: unknown): string | undefined {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the port is in use; stop the process that has it, or choose another with --port";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "it is not permitted; choose a port above 1023 with --port";
  }
  if (error instanceof Deno.errors.NotCapable) return "the process may not listen there; allow it with --allow-net";
  return undefined;
}

function whyNotHost(error: unknown): string {
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address; choose another with --host";
  }
  return `${error instanceof Error ? error.message : String(error)}; choose another address with --host`;
}

/**
 * A log of which strangers cannot make a flood.
 *
 * In: lines. Out: so many of them a minute, and how many more there were.
 */

import { MAX_PEER_LOG_LINES } from "../shared/limits.ts";
import type { LogLevel } from "../enclave/messages.ts";

export type PeerLog = (level: LogLevel, message: string) => void;

const MINUTE_MS = 60_000;

/** @param nowMs a clock that does not go back */
export function boundedLog(log: PeerLog, nowMs: () => number = () => performance.now()): PeerLog {
  let minuteBeganMs = -Infinity;
  let lines = 0;
  return (level, message) => {
    const now = nowMs();
    if (now - minuteBeganMs >= MINUTE_MS) {
      if (lines > MAX_PEER_LOG_LINES) {
        log("info", `${lines - MAX_PEER_LOG_LINES} more lines on connections between nodes were left out`);
      }
      minuteBeganMs = now;
      lines = 0;
    }
    lines += 1;
    if (lines <= MAX_PEER_LOG_LINES) log(level, message);
  };
}

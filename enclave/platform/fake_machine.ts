/**
 * A machine with attested hardware that is not there: what its kernel would do, for tests.
 *
 * In: device operations. Out: their outcomes, with recorded evidence where a report would be made, and errors where a test
 * wants them. As configfs-tsm does, it counts generations, and makes a report when it is read and not when it is asked for.
 */

import { TSM_DIRECTORY } from "./configfs_tsm.ts";
import type { DeviceOperation, DeviceOutcome, SevGuestOperation } from "./devices.ts";
import { GRAMINE_DIRECTORY } from "./gramine.ts";
import { SEV_GUEST } from "./sev_guest.ts";

interface Request {
  generation: number;
  inblob: Uint8Array | undefined;
}

const done = (bytes: Uint8Array = new Uint8Array()): DeviceOutcome => ({ isDone: true, bytes });

export const failed = (code: string): DeviceOutcome => ({ isDone: false, code, message: `${code} of a test` });

const text = (value: string) => done(new TextEncoder().encode(value));

export class FakeMachine {
  /** Without it: no configfs-tsm. "": it is there, and nobody provides reports. */
  provider: string | undefined;
  /** Makes the report over 64 bytes. */
  makeReport: (reportData: Uint8Array) => Uint8Array = () => new Uint8Array();
  certificates: Uint8Array = new Uint8Array();
  hasAuxblob = true;
  gramine: { readonly type: string; readonly quote: Uint8Array } | undefined;
  sevGuest: ((operation: SevGuestOperation) => DeviceOutcome) | undefined;
  /** Paths that are there besides. */
  readonly others = new Set<string>();
  /** Errors to come, by operation and file: "read outblob" → first that, then the next, then none. */
  readonly faults = new Map<string, string[]>();
  /** For whatever else happens while we ask; called before each operation. */
  meanwhile: (operation: DeviceOperation, requests: ReadonlyMap<string, Request>) => void = () => {};
  readonly requests = new Map<string, Request>();
  readonly done: string[] = [];
  waitedMs = 0;
  /** As it was written to Gramine. */
  gramineReportData: Uint8Array | undefined;

  readonly perform = (operation: DeviceOperation): DeviceOutcome => {
    this.meanwhile(operation, this.requests);
    if (operation.kind === "wait") {
      this.waitedMs += operation.ms;
      return done();
    }
    const path = operation.kind === "sevGuest" ? SEV_GUEST : operation.path;
    const name = `${operation.kind} ${path.split("/").at(-1)}`;
    const fault = this.faults.get(name)?.shift() ?? this.faults.get(operation.kind)?.shift();
    this.done.push(name);
    if (fault !== undefined) return failed(fault);
    if (operation.kind === "sevGuest") return this.sevGuest?.(operation) ?? failed("ENOENT");
    if (path.startsWith(GRAMINE_DIRECTORY)) return this.#gramine(operation, path);
    if (path.startsWith(TSM_DIRECTORY)) return this.#configfs(operation, path);
    const isThere = this.others.has(path) || (path === SEV_GUEST && this.sevGuest !== undefined);
    return isThere ? done() : failed("ENOENT");
  };

  #gramine(operation: DeviceOperation, path: string): DeviceOutcome {
    if (this.gramine === undefined) return failed("ENOENT");
    const file = path.slice(GRAMINE_DIRECTORY.length + 1);
    if (operation.kind === "read" && file === "attestation_type") return text(`${this.gramine.type}\n`);
    if (operation.kind === "read" && file === "quote") return done(this.gramine.quote);
    if (operation.kind === "write" && file === "user_report_data") {
      this.gramineReportData = operation.bytes;
      return done();
    }
    return failed("EINVAL");
  }

  #configfs(operation: DeviceOperation, path: string): DeviceOutcome {
    if (this.provider === undefined) return failed("ENOENT");
    const [name, attribute] = path.slice(TSM_DIRECTORY.length + 1).split("/");
    if (operation.kind === "look") return done();
    if (operation.kind === "makeDirectory") {
      if (this.provider === "") return failed("ENXIO");
      if (this.requests.has(name!)) return failed("EEXIST");
      this.requests.set(name!, { generation: 0, inblob: undefined });
      return done();
    }
    const request = this.requests.get(name!);
    if (request === undefined) return failed("ENOENT");
    if (operation.kind === "removeDirectory") {
      this.requests.delete(name!);
      return done();
    }
    if (operation.kind === "write" && attribute === "inblob") {
      request.inblob = operation.bytes;
      request.generation += 1;
      return done();
    }
    if (operation.kind !== "read") return failed("EINVAL");
    switch (attribute) {
      case "provider":
        return text(`${this.provider}\n`);
      case "generation":
        return text(`${request.generation}\n`);
      case "outblob":
        // Both drivers look at the size only now.
        return request.inblob?.length === 64 ? done(this.makeReport(request.inblob)) : failed("EINVAL");
      case "auxblob":
        return this.hasAuxblob ? done(this.certificates) : failed("ENOENT");
      default:
        return failed("ENOENT");
    }
  }
}

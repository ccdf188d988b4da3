/**
 * Verifies a ledger as it lies in files: each entry once, in order, however many there are.
 *
 * In: a listing, snapshots, what is trusted or known (service certificate, members' keys, a pin). Out: a result with the
 * first transaction that fails and why, or what else there is to say. Prints nothing and writes nothing.
 * With members' keys it goes over the files twice: first for the secrets, then to verify.
 * Rules: ledger-and-receipts.md §2, §9.4; of entries: `shared/ledger/replay.ts`
 */

import { FormatError } from "../shared/assert.ts";
import { fromUtf8 } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { type LedgerPin, mayMovePin, type PinBreach, pinMismatch, pinNotSeen } from "../shared/ledger/pin.ts";
import { LedgerVerifier } from "../shared/ledger/replay.ts";
import type { DeviationRule, Finding } from "../shared/ledger/replay/findings.ts";
import type { ServiceIdentity } from "../shared/ledger/replay/services.ts";
import type { ReplayMode } from "../shared/ledger/replay/state.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import type { Snapshot } from "../shared/ledger/snapshot.ts";
import { MAX_LISTED_FINDINGS } from "../shared/limits.ts";
import type { MerkleTree } from "../shared/merkle/tree.ts";
import { txIdOf } from "../shared/receipt/expected.ts";
import { parseReceipt } from "../shared/receipt/receipt.ts";
import { verifyReceipt } from "../shared/receipt/verify_receipt.ts";
import { formatTxId, type Seqno, type TxId } from "../shared/tx_id.ts";
import { UsageError } from "./commands/exit.ts";
import type { LedgerFile, LedgerListing, SnapshotFile } from "./ledger_listing.ts";
import { firstDifference, walkLedger } from "./ledger_scan.ts";
import { type MemberKey, restoreSecrets } from "./ledger_secret_search.ts";
import { chooseStart, type LedgerStart, readSnapshotFile } from "./ledger_start.ts";

export interface AuditRequest {
  readonly primitives: Primitives;
  readonly listing: LedgerListing;
  readonly snapshots: readonly SnapshotFile[];
  readonly mode: ReplayMode;
  readonly serviceCertificatePem?: string | undefined;
  /** Without any, private tables are not looked at. */
  readonly memberKeys: readonly MemberKey[];
  readonly pin?: LedgerPin | undefined;
  /** Sees what was accepted: a snapshot that the ledger begins behind, then every entry. */
  readonly observer?: AuditObserver | undefined;
  /** Told how many of all bytes to be read have been. */
  readonly onProgress?: ((bytes: number, of: number) => void) | undefined;
}

export interface AuditObserver {
  startFrom(snapshot: Snapshot): void;
  /** @param tree with the entry as its last leaf */
  add(entry: Uint8Array, tree: MerkleTree): void;
}

export interface AuditFailure {
  /** Undefined where no single transaction is to blame. */
  readonly seqno: Seqno | undefined;
  readonly reason: string;
  /** Path of the file it was found in. */
  readonly file: string | undefined;
  /** Whether the replay refused it: then it may be what older versions wrote. */
  readonly byReplay: boolean;
  /** Where the ledger does not continue the pin. */
  readonly code?: PinBreach["code"];
}

export interface Deviation {
  readonly seqno: Seqno;
  readonly rule: DeviationRule;
  readonly reason: string;
}

export interface AuditResult {
  readonly failure: AuditFailure | undefined;
  readonly lastSigned: TxId | undefined;
  /** The last transaction that was accepted. */
  readonly last: TxId | undefined;
  readonly transactions: number;
  readonly snapshots: number;
  readonly identities: readonly ServiceIdentity[];
  readonly privateTables: boolean;
  readonly warnings: readonly string[];
  /** What older versions wrote, in a lenient audit. */
  readonly deviations: readonly Deviation[];
  /** Deviations and warnings that are not listed, since there are too many. */
  readonly unlisted: number;
  /** What to pin next; undefined where the ledger is refused, or the pin must stay where it is. */
  readonly pin: LedgerPin | undefined;
}

/**
 * @throws UsageError where input cannot be read, or the members' keys do not suffice for a ledger that otherwise verifies
 */
export function auditLedger(request: AuditRequest): AuditResult {
  const passes = request.memberKeys.length > 0 ? 2 : 1;
  const total = passes * request.listing.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  let bytes = 0;
  const onBytes = (count: number) => request.onProgress?.(bytes += count, total);
  const start = chooseStart(request.listing.files, request.snapshots);
  if (passes === 1) return new Audit(request, start, undefined).run(onBytes);

  const found = searchSecrets(request, start, onBytes);
  if (!(found instanceof Error)) return new Audit(request, start, found).run(onBytes);
  // A ledger that was tampered with may be why keys do not lead to its secrets: then that is the answer.
  const publicly = new Audit(request, start, undefined).run(onBytes);
  if (publicly.failure !== undefined) return publicly;
  if (found instanceof UsageError) throw found;
  return { ...publicly, failure: { ...NO_PLACE, reason: found.message }, pin: undefined };
}

const NO_PLACE = { seqno: undefined, file: undefined, byReplay: false };

/** The secrets, or why they cannot be had. */
function searchSecrets(
  { primitives, memberKeys }: AuditRequest,
  start: LedgerStart,
  onBytes: (count: number) => void,
): LedgerSecrets | Error {
  try {
    const { secrets, unsharedFrom } = restoreSecrets(primitives, start, memberKeys, onBytes);
    if (unsharedFrom === undefined) return secrets;
    return new UsageError(
      `Cannot verify private tables: from transaction ${unsharedFrom} on a recovery is under way, and its secret is not ` +
        "shared with members yet; leave --member-key out",
    );
  } catch (error) {
    if (error instanceof FormatError || error instanceof UsageError) return error;
    throw error;
  }
}

class Audit {
  readonly #request: AuditRequest;
  readonly #start: LedgerStart;
  readonly #verifier: LedgerVerifier;
  readonly #hasSecrets: boolean;
  readonly #warnings: string[] = [];
  readonly #deviations: Deviation[] = [];
  #unlisted = 0;
  #failure: AuditFailure | undefined;
  /** Snapshots to compare, by seqno. */
  readonly #snapshots = new Map<Seqno, SnapshotFile[]>();
  #snapshotsChecked = 0;
  /** Behind this transaction the audit ends: other copies of what follows are not the same. */
  #conflict: { readonly before: Seqno; readonly reason: string } | undefined;
  #pinSeen = false;

  constructor(request: AuditRequest, start: LedgerStart, secrets: LedgerSecrets | undefined) {
    const { primitives, mode, serviceCertificatePem } = request;
    this.#request = request;
    this.#start = start;
    this.#hasSecrets = secrets !== undefined;
    this.#verifier = new LedgerVerifier({
      primitives,
      mode,
      ...(secrets !== undefined && { secrets }),
      ...(serviceCertificatePem !== undefined && { serviceCertificatePem }),
    });
  }

  run(onBytes: (count: number) => void): AuditResult {
    this.#warnOfFiles();
    if (this.#begin() && this.#walk(onBytes)) this.#finish();
    return this.#result();
  }

  #begin(): boolean {
    const { snapshot, first } = this.#start;
    for (const file of this.#request.snapshots) {
      if (file === snapshot) continue;
      const there = this.#snapshots.get(file.name.seqno);
      if (there === undefined) this.#snapshots.set(file.name.seqno, [file]);
      else there.push(file);
    }
    return snapshot === undefined || this.#checkSnapshot(snapshot, (parsed) => {
      const found = this.#verifier.startFrom(snapshot.name, parsed);
      if (!this.#verifier.failed) this.#request.observer?.startFrom(parsed);
      if (this.#request.listing.files[0]!.name.first < first) {
        this.#warn(`Transactions before ${first} are not verified: no snapshot leads to the first of them`);
      }
      return found;
    });
  }

  #walk(onBytes: (count: number) => void): boolean {
    const verifier = this.#verifier;
    const { observer } = this.#request;
    const pinnedSeqno = this.#request.pin?.lastSigned.seqno;
    for (const step of walkLedger(this.#start.files, this.#start.first, onBytes)) {
      const { path } = step.file;
      switch (step.kind) {
        case "file":
          if (!this.#take(verifier.startChunk(step.file.name), path)) return false;
          this.#findConflict(step.file);
          break;
        case "entry": {
          const { seqno } = verifier.last;
          if (this.#conflict?.before === seqno + 1) return this.#fail(seqno + 1, this.#conflict.reason, path);
          if (!this.#take(verifier.add(step.entry.bytes), path)) return false;
          observer?.add(step.entry.bytes, verifier.tree);
          if (seqno + 1 === pinnedSeqno && !this.#checkPin()) return false;
          if (this.#snapshots.has(seqno + 1) && !this.#compareSnapshots(seqno + 1)) return false;
          break;
        }
        case "end":
          // The transactions in it were accepted: it is the next one that cannot follow.
          if (!this.#take(verifier.endChunk(step.end), path, verifier.last.seqno + 1)) return false;
          break;
        case "superseded":
          this.#warn(`${path} was left aside: the file before it has the same transactions`);
          break;
        case "misplaced":
          return this.#fail(verifier.last.seqno + 1, step.reason, undefined);
        case "damaged":
          return this.#fail(verifier.last.seqno + 1, step.reason, path);
      }
    }
    return true;
  }

  #finish(): void {
    if (!this.#take(this.#verifier.finish(), undefined)) return;
    for (const { name } of [...this.#snapshots.values()].flat()) {
      this.#warn(`The snapshot at ${name.seqno} was not compared: the ledger does not lead there`);
    }
    const { pin } = this.#request;
    if (pin === undefined) return;
    const { last, identities } = this.#verifier;
    if (!this.#pinSeen) {
      this.#break(pinNotSeen(pin, last), Math.min(last.seqno + 1, pin.lastSigned.seqno));
      return;
    }
    const identity = identities.at(-1)!.certificate.nodeId;
    if (identity !== pin.serviceIdentity) {
      const rest = this.#mayMovePin() ? "" : `; the pin stays there until --service-cert says that this is the service`;
      this.#warn(
        `The service was recovered since ${
          formatTxId(pin.lastSigned)
        } was pinned: its identity is ${identity} now${rest}`,
      );
    }
  }

  /** Whether the transaction accepted last is the pinned one. */
  #checkPin(): boolean {
    this.#pinSeen = true;
    const { last, lastSigned } = this.#verifier;
    const breach = pinMismatch(this.#request.pin!, this.#pinAt(last), last === lastSigned);
    return breach === undefined || this.#break(breach, last.seqno);
  }

  #break({ code, reason }: PinBreach, seqno: Seqno): false {
    this.#failure = { seqno, reason, file: undefined, byReplay: false, code };
    return false;
  }

  #mayMovePin(): boolean {
    const { pin, serviceCertificatePem } = this.#request;
    return mayMovePin(pin, this.#pinAt(this.#verifier.lastSigned), serviceCertificatePem !== undefined);
  }

  #pinAt(txId: TxId): LedgerPin {
    const { identities, tree } = this.#verifier;
    return {
      serviceIdentity: identities.at(-1)!.certificate.nodeId,
      lastSigned: txId,
      root: tree.root(txId.seqno),
    };
  }

  /** Compares other copies of a file that is about to be read. */
  #findConflict(file: LedgerFile): void {
    this.#conflict = undefined;
    const { listing } = this.#request;
    for (const [one, other] of listing.overlaps) {
      if (one === file) {
        this.#setConflict(
          Math.max(file.name.first, other.name.first),
          `${file.path} and ${other.path} overlap, and are cut in different places; keep the files of one node, or ` +
            "verify the directories one at a time",
        );
      }
    }
    for (const copy of listing.copies.get(file) ?? []) {
      const seqno = this.#difference(file, copy);
      if (seqno !== undefined) {
        this.#setConflict(
          seqno,
          `${file.path} and ${copy.path} differ from transaction ${seqno} on; verify the directories one at a time to ` +
            "see which one holds",
        );
      }
    }
  }

  #setConflict(before: Seqno, reason: string): void {
    if (this.#conflict === undefined || before < this.#conflict.before) this.#conflict = { before, reason };
  }

  /** Nothing where the file itself cannot be read: that will be noticed when it is. */
  #difference(file: LedgerFile, copy: LedgerFile): Seqno | undefined {
    try {
      return firstDifference(file, copy);
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }

  #warnOfFiles(): void {
    for (const { file, other } of this.#request.listing.leftAside) {
      const seqno = this.#difference(other, file);
      const difference = seqno === undefined ? "" : `, though not the same from ${seqno} on`;
      this.#warn(`${file.path} was left aside: ${other.path} is committed and has its transactions${difference}`);
    }
  }

  #compareSnapshots(seqno: Seqno): boolean {
    const files = this.#snapshots.get(seqno)!;
    this.#snapshots.delete(seqno);
    return files.every((file) =>
      this.#checkSnapshot(file, (parsed) => this.#verifier.checkSnapshot(file.name, parsed))
    );
  }

  /** Puts a snapshot through `check`, then looks at the receipt behind it. */
  #checkSnapshot(file: SnapshotFile, check: (snapshot: Snapshot) => readonly Finding[]): boolean {
    const { path, name } = file;
    try {
      const { snapshot, receipt } = readSnapshotFile(file);
      if (!this.#take(check(snapshot), path)) return false;
      this.#checkReceipt(snapshot, receipt, name.evidenceSeqno);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return this.#fail(name.seqno, error.message, path);
    }
    this.#snapshotsChecked++;
    return true;
  }

  /** The receipt is of the evidence transaction, whose claim is the digest of the snapshot. @throws FormatError */
  #checkReceipt(snapshot: Snapshot, bytes: Uint8Array, evidenceSeqno: Seqno): void {
    const { primitives } = this.#request;
    const receipt = parseReceipt(fromUtf8(bytes));
    const { certificatePem } = this.#verifier.identities.at(-1)!;
    const claimsDigest = snapshot.digest(primitives);
    const { reason } = verifyReceipt(primitives, receipt, certificatePem, { claimsDigest });
    if (reason !== undefined) throw new FormatError(`The receipt behind the snapshot does not hold: ${reason}`);
    if (receipt.leaf.kind !== "components" || txIdOf(receipt.leaf.commitEvidence).seqno !== evidenceSeqno) {
      throw new FormatError(`The receipt behind the snapshot is not for transaction ${evidenceSeqno}`);
    }
  }

  /** Takes note of findings; false once there is a failure among them, at `failing` if that is given. */
  #take(findings: readonly Finding[], file: string | undefined, failing?: Seqno): boolean {
    for (const finding of findings) {
      if (finding.kind === "failure") {
        this.#failure = { seqno: failing ?? finding.seqno, reason: finding.reason, file, byReplay: true };
      } else if (finding.kind === "warning") this.#warn(finding.reason);
      else if (this.#deviations.length < MAX_LISTED_FINDINGS) this.#deviations.push(finding);
      else this.#unlisted++;
    }
    return this.#failure === undefined;
  }

  #warn(warning: string): void {
    if (this.#warnings.length < MAX_LISTED_FINDINGS) this.#warnings.push(warning);
    else this.#unlisted++;
  }

  #fail(seqno: Seqno, reason: string, file: string | undefined): false {
    this.#failure = { seqno, reason, file, byReplay: false };
    return false;
  }

  #result(): AuditResult {
    const { last, lastSigned, identities } = this.#verifier;
    return {
      failure: this.#failure,
      lastSigned: lastSigned.seqno === 0 ? undefined : lastSigned,
      last: last.seqno === 0 ? undefined : last,
      transactions: Math.max(0, last.seqno - this.#start.first + 1),
      snapshots: this.#snapshotsChecked,
      identities,
      privateTables: this.#hasSecrets,
      warnings: this.#warnings,
      deviations: this.#deviations,
      unlisted: this.#unlisted,
      pin: this.#failure === undefined && this.#mayMovePin() ? this.#pinAt(lastSigned) : undefined,
    };
  }
}

/** Receipts: drop or paste them, see what each proves, step by step, and what it does not. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { FormatError } from "../../../shared/assert.ts";
import { fromHex, fromUtf8Lenient, toHex } from "../../../shared/bytes.ts";
import { noblePrimitives } from "../../../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../../../shared/crypto/x509.ts";
import {
  MAX_CLAIMS_FILE_BYTES,
  MAX_RECEIPT_BYTES,
  MAX_RECEIPTS_AT_ONCE,
  PAGE_TURN_MS,
} from "../../../shared/limits.ts";
import type { Expected } from "../../../shared/receipt/expected.ts";
import { parseTxId } from "../../../shared/tx_id.ts";
import { FileDrop } from "../../parts/file_drop.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { Empty, ProblemNote } from "../../parts/states.tsx";
import type { Problem } from "../../problem.ts";
import { type PageProps, replaceQuery } from "../../routes.ts";
import { ledgerState, loadRemembered, pinned, remembered } from "../../service/session.ts";
import { type CheckedReceipt, verdictFile } from "./checked_receipt.ts";
import { judgeReceipt, type KnownService } from "./judge_receipt.ts";
import { knownServices } from "./known_services.ts";
import { type ReadReceipt, receiptForLink, receiptFromLink, receiptsInBytes, receiptsInText } from "./read_receipts.ts";
import { ReceiptView } from "./receipt_view.tsx";
import { BatchTable } from "./batch_table.tsx";
import "./receipts.css";

export default function ReceiptsPage({ route }: PageProps) {
  const linked = route.query.get("receipt") ?? "";
  const claims = route.query.get("claims") ?? "";
  const txId = route.query.get("tx") ?? "";
  const shown = Number(route.query.get("show") ?? "0");
  const [dropped, setDropped] = useState<readonly ReadReceipt[]>([]);
  const [servicePem, setServicePem] = useState<string | undefined>();
  useEffect(() => void loadRemembered(), []);
  const read = useMemo(
    () => dropped.length > 0 ? dropped : linked === "" ? [] : receiptFromLink(linked),
    [dropped, linked],
  );
  const expected = useMemo(() => expectedOf(claims, txId), [claims, txId]);
  const services = useServices(servicePem);
  const checked = useChecked(read, services, expected.value);
  const take = (found: readonly ReadReceipt[]) => {
    setDropped(found);
    const [only] = found;
    const link = found.length === 1 && only!.kind !== "unreadable" ? receiptForLink(only!.bytes) : undefined;
    replaceQuery({ receipt: link, show: undefined });
  };
  const current = checked[Math.min(shown, checked.length - 1)];
  return (
    <Page
      title="Receipts"
      lead="Drop or paste receipts, and see step by step what they prove. It is checked in this page; nothing has to be connected."
      actions={checked.length > 0 && (
        <>
          <button type="button" class="button" onClick={() => print()}>Print</button>
          <button
            type="button"
            class="button"
            onClick={() => saveFile("receipts_verdict.json", verdictFile(checked, Date.now()), "application/json")}
          >
            Download the verdict (JSON)
          </button>
        </>
      )}
    >
      <Give onReceipts={take} />
      <Beside
        claims={claims}
        txId={txId}
        problems={expected.problems}
        servicePem={servicePem}
        onServicePem={setServicePem}
      />
      {checked.length === 0
        ? (
          <Empty>
            No receipt is here yet. A node hands them out at{" "}
            <code>GET /app/receipt?transaction_id=VIEW.SEQNO</code>, after the transaction is committed; the page
            Transaction has a button for it.
          </Empty>
        )
        : (
          <>
            {checked.length < read.length && <p role="status">{checked.length} of {read.length} are checked…</p>}
            {read.length > 1 && (
              <BatchTable
                checked={checked}
                shown={shown}
                onShow={(show) => replaceQuery({ show: show || undefined })}
              />
            )}
            {current !== undefined && <ReceiptView checked={current} />}
          </>
        )}
    </Page>
  );
}

/** The same list for as long as nothing of it that counts has changed: a pin moves with every signature. */
function useServices(servicePem: string | undefined): readonly KnownService[] {
  const services = knownServices(remembered.value, ledgerState.value.service, pinned.value, servicePem);
  return useMemo(() => services, [JSON.stringify(services)]);
}

/** Checks some of them, lets the browser do its own, and goes on. */
function useChecked(
  read: readonly ReadReceipt[],
  services: readonly KnownService[],
  expected: Expected,
): readonly CheckedReceipt[] {
  const [checked, setChecked] = useState<readonly CheckedReceipt[]>([]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const done: CheckedReceipt[] = [];
    const some = () => {
      const startedMs = performance.now();
      while (done.length < read.length && performance.now() - startedMs < PAGE_TURN_MS) {
        done.push(check(read[done.length]!, services, expected));
      }
      setChecked([...done]);
      if (done.length < read.length) timer = setTimeout(some);
    };
    some();
    return () => clearTimeout(timer);
  }, [read, services, expected]);
  return checked;
}

function check(read: ReadReceipt, services: readonly KnownService[], expected: Expected): CheckedReceipt {
  const startedMs = performance.now();
  if (read.kind === "unreadable") return { read, tookMs: 0 };
  const judged = judgeReceipt(noblePrimitives, read, services, expected, Date.now());
  return { read, judged, tookMs: performance.now() - startedMs };
}

interface ReadExpected {
  readonly value: Expected;
  readonly problems: readonly Problem[];
}

/** What was typed beside the receipts. */
function expectedOf(claims: string, txId: string): ReadExpected {
  const problems: Problem[] = [];
  const taken = <T,>(what: string, todo: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      problems.push({ code: "ExpectedUnreadable", what, why: error.message, todo });
      return undefined;
    }
  };
  const digest = claims === "" ? undefined : taken(
    "The claims digest cannot be compared",
    "Give 64 hex digits, or choose the file of the claims",
    () => {
      const bytes = fromHex(claims.trim().toLowerCase());
      if (bytes.length !== 32) throw new FormatError(`It has ${bytes.length} bytes, and a SHA-256 has 32`);
      return bytes;
    },
  );
  const wanted = txId === "" ? undefined : taken(
    "The transaction ID cannot be compared",
    "Give a view and a seqno with a point between, such as 2.15",
    () => parseTxId(txId.trim()),
  );
  return { value: { ...(digest && { claimsDigest: digest }), ...(wanted && { txId: wanted }) }, problems };
}

function Give({ onReceipts }: { readonly onReceipts: (found: readonly ReadReceipt[]) => void }) {
  const [text, setText] = useState("");
  const [isBusy, setIsBusy] = useState(false);
  const takeFiles = async (files: readonly File[]) => {
    setIsBusy(true);
    const found: ReadReceipt[] = [];
    for (const file of files.slice(0, MAX_RECEIPTS_AT_ONCE)) {
      // One byte more than may be there, so that too large a file is seen to be one.
      const bytes = new Uint8Array(await file.slice(0, MAX_RECEIPT_BYTES + 1).arrayBuffer());
      found.push(...receiptsInBytes(file.name, bytes));
    }
    setIsBusy(false);
    onReceipts(found);
  };
  return (
    <Section title="Receipts to check">
      <div class="columns no-print">
        <FileDrop label="Choose receipts" multiple onFiles={(files) => void takeFiles(files)}>
          <p class="small">Drop receipts here: JSON or COSE, one or many.</p>
        </FileDrop>
        <form
          class="stack-tight"
          onSubmit={(event) => {
            event.preventDefault();
            onReceipts(receiptsInText("The pasted receipt", text));
          }}
        >
          <div class="field">
            <label htmlFor="receipt-text">Or paste receipts</label>
            <textarea
              id="receipt-text"
              rows={5}
              spellcheck={false}
              class="mono"
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
              placeholder="JSON, or COSE as hex or base64"
            />
          </div>
          <div>
            <button type="submit" class="button button-main" disabled={text.trim() === ""}>Check the receipt</button>
          </div>
        </form>
      </div>
      {isBusy && <p role="status">Reading the files…</p>}
    </Section>
  );
}

/** What somebody says that the receipts are for. */
function Beside({ claims, txId, problems, servicePem, onServicePem }: {
  readonly claims: string;
  readonly txId: string;
  readonly problems: readonly Problem[];
  readonly servicePem: string | undefined;
  readonly onServicePem: (pem: string | undefined) => void;
}) {
  const [problem, setProblem] = useState<Problem | undefined>();
  const takeClaims = async ([file]: readonly File[]) => {
    if (file!.size > MAX_CLAIMS_FILE_BYTES) {
      return setProblem({
        code: "ClaimsTooLarge",
        what: `The claims in ${file!.name} are not read`,
        why: `The file has ${file!.size.toLocaleString()} bytes, of ${MAX_CLAIMS_FILE_BYTES.toLocaleString()} at most`,
        todo: "Take its SHA-256 with a tool such as sha256sum, and give that",
      });
    }
    setProblem(undefined);
    const digest = noblePrimitives.sha256(new Uint8Array(await file!.arrayBuffer()));
    replaceQuery({ claims: toHex(digest) });
  };
  const takeService = async ([file]: readonly File[]) => {
    const text = fromUtf8Lenient(new Uint8Array(await file!.slice(0, 100_000).arrayBuffer()));
    try {
      parseCertificatePem(text);
      onServicePem(text);
      setProblem(undefined);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      setProblem({
        code: "CertificateUnreadable",
        what: `${file!.name} is not the certificate of a service`,
        why: error.message,
        todo: "Choose the service_cert.pem that members of the service gave you",
      });
    }
  };
  return (
    <Section title="What they should be for">
      <div class="columns">
        <div class="stack-tight">
          <div class="field">
            <label htmlFor="claims">Claims digest (SHA-256, hex)</label>
            <input
              id="claims"
              class="mono"
              spellcheck={false}
              value={claims}
              onInput={(event) => replaceQuery({ claims: event.currentTarget.value })}
            />
          </div>
          <div class="no-print">
            <FileDrop label="Choose the claims" onFiles={(files) => void takeClaims(files)}>
              <p class="small">What the application claims, byte for byte: its SHA-256 is taken.</p>
            </FileDrop>
          </div>
        </div>
        <div class="stack-tight">
          <div class="field">
            <label htmlFor="tx">Transaction ID</label>
            <input
              id="tx"
              class="mono"
              spellcheck={false}
              placeholder="2.15"
              value={txId}
              onInput={(event) => replaceQuery({ tx: event.currentTarget.value })}
            />
          </div>
          <div class="no-print">
            <FileDrop
              label="Choose the service's certificate"
              accept=".pem,.crt,.cer"
              onFiles={(files) => void takeService(files)}
            >
              <p class="small">
                {servicePem === undefined
                  ? "Only where the service is neither pinned nor open: service_cert.pem."
                  : "A certificate was given; it is compared with, and not pinned."}
              </p>
            </FileDrop>
          </div>
        </div>
      </div>
      {[...problems, ...(problem === undefined ? [] : [problem])].map((each) => (
        <ProblemNote key={each.what} problem={each} />
      ))}
    </Section>
  );
}

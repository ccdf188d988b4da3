import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toByteString, toHex } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { serialiseChunk } from "../../shared/ledger/chunk.ts";
import { LedgerVerifier } from "../../shared/ledger/replay.ts";
import { MAX_PAGE_QUESTIONS_AT_ONCE, PAGE_TURN_MS } from "../../shared/limits.ts";
import { foldPath } from "../../shared/merkle/path.ts";
import { filesOf, MadeUpNode, readLedger } from "../../tests/console_ledger.ts";
import { ledgerDirectories, ledgerDirectory, readEntries, readSnapshotFiles } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { ProblemError } from "../problem.ts";
import { LedgerReading } from "./reading.ts";
import { NodeEntries } from "./sources.ts";

const FILES = { kind: "files", files: [] } as const;
const NODE = { kind: "node", url: "https://node" } as const;
const LENIENT = { lenient: true };

/** Public tables of the replayed ledger, as text that can be compared. */
function tablesOf(verifier: LedgerVerifier): Map<string, Map<string, string>> {
  const tx = verifier.store.beginReadOnly();
  return new Map(
    verifier.store.tableNames().filter((name) => name.startsWith("public:")).map((name) => [
      name,
      new Map([...tx.openRaw(name).entries()].map(([key, value]) => [key, toHex(value)])),
    ]),
  );
}

async function shownTables(reading: LedgerReading): Promise<Map<string, Map<string, string>>> {
  const shown = new Map<string, Map<string, string>>();
  for (const { name } of await reading.tables()) {
    const { rows } = await reading.table(name, { count: 100_000 });
    shown.set(name, new Map(rows.map(({ key, value }) => [toByteString(key), toHex(value)])));
  }
  return shown;
}

teamTest(
  "every real ledger is read to the state that the command line comes to, each entry with a proof",
  async (t) => {
    for (const directory of ledgerDirectories()) {
      await t.step(directory.name, async () => {
        const entries = readEntries(directory);
        const verifier = new LedgerVerifier({ primitives: noblePrimitives, mode: "lenient" });
        const reading = await readLedger({ kind: "files", files: filesOf(directory) }, LENIENT);
        if (reading.state.problem?.code === "LedgerWithoutBeginning") return;
        assert.equal(reading.state.status, "complete", JSON.stringify(reading.state.problem));
        const signed = reading.state.signed!;
        for (const entry of entries.slice(0, signed.seqno)) verifier.add(entry);
        assert.equal(verifier.failed, false);
        const wanted = tablesOf(verifier);
        for (const [name, rows] of [...wanted]) if (rows.size === 0) wanted.delete(name);
        assert.deepEqual(await shownTables(reading), wanted);
        for (let seqno = 1; seqno < signed.seqno; seqno += 13) {
          const proof = (await reading.proof(seqno))!;
          const path = proof.path.map(({ side, hash }) => ({ side, hash: Uint8Array.fromHex(hash) }));
          assert.equal(toHex(foldPath(noblePrimitives, Uint8Array.fromHex(proof.leaf), path)), proof.root);
        }
        await reading.close();
      });
    }
  },
);

teamTest("a transaction is told with what was before, its layout, and who asked for it", async () => {
  const reading = await readLedger({ kind: "files", files: filesOf(ledgerDirectory("recorded_governance")) });
  const { rows, total } = await reading.entries({ table: "public:ccf.gov.proposals_info" }, 0, 1000);
  assert.equal(rows.length, total);
  assert.ok(total > 3);
  let requests = 0;
  for (const { seqno } of rows) {
    const answer = await reading.transaction(seqno);
    assert.ok(answer.found);
    const { layout, bytes, writes, requestedBy } = answer.transaction;
    assert.equal(layout[0]!.start, 0);
    for (const [i, { start }] of layout.entries()) if (i > 0) assert.equal(start, layout[i - 1]!.end);
    assert.equal(layout.at(-1)!.end, bytes.length);
    if (requestedBy !== undefined) requests++;
    for (const { table, key, before, beforeSeqno } of writes) {
      const was = await reading.value(table, key, seqno - 1);
      assert.deepEqual(before, was?.value);
      assert.equal(beforeSeqno, was?.writtenAt);
    }
  }
  assert.ok(requests > 2);
  const answer = await reading.transaction(3, 99);
  assert.ok(!answer.found && answer.why === "invalid");
  const beyond = await reading.transaction(1_000_000);
  assert.ok(!beyond.found && beyond.why === "unknown");
  await reading.close();
});

teamTest("a node's ledger is read to its end, and on when there is more", async () => {
  const entries = readEntries(ledgerDirectory("recorded_governance"));
  const node = new MadeUpNode(entries.slice(0, 20));
  node.perAnswer = 3;
  const reading = await readLedger(NODE, LENIENT, node.options);
  assert.equal(reading.state.status, "following");
  const before = reading.state.signed!.seqno;
  assert.ok(before <= 20);
  node.entries = entries;
  await reading.refresh();
  for (let tries = 0; reading.state.readSeqno < entries.length; tries++) {
    assert.ok(tries < 500, "it reads on");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(reading.state.signed!.seqno > before);
  await reading.close();
});

teamTest("no changed byte of any entry is taken", async () => {
  const entries = readEntries(ledgerDirectory("recorded_governance"));
  for (let seqno = 1; seqno <= entries.length; seqno += 17) {
    const changed = entries.map((entry) => entry.slice());
    const bytes = changed[seqno - 1]!;
    bytes[bytes.length - 1]! ^= 1;
    const reading = await readLedger(NODE, LENIENT, new MadeUpNode(changed).options);
    const { status, problem, signed } = reading.state;
    // Behind the last signature nothing covers it, and nothing is shown of it.
    const isBehind = status === "following" && (signed?.seqno ?? 0) < seqno;
    assert.ok(
      isBehind || (status === "stopped" && ["LedgerRefused", "NodeNonsense"].includes(problem!.code)),
      `${seqno}`,
    );
    assert.ok((signed?.seqno ?? 0) < seqno);
    await reading.close();
  }
});

teamTest("an entry that is withheld, or comes in the place of another, is noticed", async () => {
  const entries = readEntries(ledgerDirectory("recorded_governance"));
  for (const seqno of [2, 5, 17]) {
    const without = new MadeUpNode(entries.filter((_, i) => i !== seqno - 1));
    const reading = await readLedger(NODE, LENIENT, without.options);
    assert.equal(reading.state.problem?.code, "LedgerRefused");
    await reading.close();
    const swapped = [...entries];
    [swapped[seqno - 1], swapped[seqno]] = [swapped[seqno]!, swapped[seqno - 1]!];
    const other = await readLedger(NODE, LENIENT, new MadeUpNode(swapped).options);
    assert.equal(other.state.problem?.code, "LedgerRefused");
    await other.close();
  }
});

teamTest("a node that answers nonsense, refuses or hands out another range is said to", async () => {
  const entries = readEntries(ledgerDirectory("recorded_governance"));
  const codeWith = async (change: MadeUpNode["change"]) => {
    const node = new MadeUpNode(entries);
    node.change = change;
    const reading = await readLedger(NODE, LENIENT, node.options);
    await reading.close();
    return reading.state.problem?.code ?? (await Promise.reject(new Error("There was no problem")));
  };
  const isEntries = (path: string) => path.endsWith("entries");
  await assert.rejects(codeWith((_, body) => body), /no problem/);
  // Closing forgets the state, so it is looked at before.
  const stateWith = async (change: MadeUpNode["change"]) => {
    const node = new MadeUpNode(entries);
    node.change = change;
    const reading = await readLedger(NODE, LENIENT, node.options);
    const { status, problem } = reading.state;
    await reading.close();
    return `${status} ${problem?.code}`;
  };
  assert.equal(await stateWith((path, body) => isEntries(path) ? body.subarray(0, 20) : body), "stopped NodeNonsense");
  assert.equal(await stateWith((path, body) => isEntries(path) ? new Uint8Array() : body), "stopped NodeNonsense");
  assert.equal(await stateWith((path, body) => isEntries(path) ? 404 : body), "stopped LedgerNotHandedOut");
  assert.equal(await stateWith((path, body) => isEntries(path) ? body : new Uint8Array(3)), "stopped NodeNonsense");
  const second = entries[1]!;
  assert.equal(await stateWith((path, body) => isEntries(path) ? second : body), "stopped LedgerRefused");
});

teamTest("a ledger that is older than the pin, or another branch, is stopped at", async () => {
  const entries = readEntries(ledgerDirectory("recorded_governance"));
  const whole = await readLedger(NODE, LENIENT, new MadeUpNode(entries).options);
  const pin = whole.state.pin!;
  await whole.close();
  const codeFor = async (had: readonly Uint8Array[], wanted: typeof pin) => {
    const reading = await readLedger(NODE, { ...LENIENT, pin: wanted }, new MadeUpNode(had).options);
    const { status, problem } = reading.state;
    await reading.close();
    return `${status} ${problem?.code ?? "fine"}`;
  };
  assert.equal(await codeFor(entries, pin), "following fine");
  assert.equal(await codeFor(entries.slice(0, 12), pin), "stopped LedgerOlderThanPinned");
  assert.equal(await codeFor(entries, { ...pin, root: "0".repeat(64) }), "stopped LedgerForked");
  const [view, seqno] = pin.lastSigned.split(".");
  assert.equal(await codeFor(entries, { ...pin, lastSigned: `${Number(view) + 1}.${seqno}` }), "stopped LedgerForked");
  assert.equal(await codeFor(entries, { ...pin, serviceIdentity: "0".repeat(64) }), "stopped IdentityChanged");
});

teamTest("the pin of a service from before its recovery goes on to hold", async () => {
  const before = readEntries(ledgerDirectory("recorded_recovery/before_recovery"));
  const old = await readLedger(NODE, LENIENT, new MadeUpNode(before).options);
  const pin = old.state.pin!;
  await old.close();
  const after = await readLedger(
    { kind: "files", files: filesOf(ledgerDirectory("recorded_recovery")) },
    { ...LENIENT, pin },
  );
  const { status, problem, service } = after.state;
  await after.close();
  assert.equal(`${status} ${problem?.code ?? "fine"}`, "complete fine");
  assert.notEqual(service!.identity, pin.serviceIdentity);
  assert.equal(service!.identities[0]!.identity, pin.serviceIdentity);
});

teamTest(
  "only a signature proves a service: neither the first nor a recovered one is shown where it was refused",
  async () => {
    const entries = readEntries(ledgerDirectory("recorded_recovery"));
    const stateOf = async (had: readonly Uint8Array[]) => {
      const reading = await readLedger(NODE, LENIENT, new MadeUpNode(had).options);
      const { state } = reading;
      await reading.close();
      return state;
    };
    const [first, recovered] = (await stateOf(entries)).service!.identities;
    // What signs the first entry of a service comes right behind it, and is what is changed.
    const changedAfter = (seqno: number) =>
      entries.map((entry, i) => i === seqno ? entry.with(-1, entry.at(-1)! ^ 1) : entry);
    const unproved = await stateOf(changedAfter(first!.fromSeqno));
    assert.equal(unproved.status, "stopped");
    assert.equal(unproved.service, undefined);
    const refused = await stateOf(changedAfter(recovered!.fromSeqno));
    assert.equal(refused.status, "stopped");
    assert.deepEqual(refused.service!.identities, [first]);
    assert.equal(refused.pin!.serviceIdentity, first!.identity);
  },
);

teamTest("files are read in any order; what is missing is a gap; a damaged one is named", async () => {
  const files = filesOf(ledgerDirectory("recorded_nodes/node0"));
  assert.ok(files.length >= 3);
  const shuffled = await readLedger({ kind: "files", files: files.toReversed() }, LENIENT);
  assert.equal(shuffled.state.status, "complete");
  const whole = shuffled.state.readSeqno;
  await shuffled.close();
  const holed = await readLedger({ kind: "files", files: files.filter((_, i) => i !== 1) }, LENIENT);
  assert.equal(holed.state.gaps.length, 1);
  assert.ok(holed.state.readSeqno < whole);
  const gap = await holed.transaction(holed.state.gaps[0]!.from);
  assert.ok(!gap.found && gap.why === "gap");
  await holed.close();
  const [first, ...rest] = files;
  const bytes = new Uint8Array(await first!.arrayBuffer());
  const cut = new File([bytes.subarray(0, bytes.length - 3)], first!.name);
  const damaged = await readLedger({ kind: "files", files: [cut, ...rest] }, LENIENT);
  assert.equal(damaged.state.problem?.code, "FileDamaged");
  await damaged.close();
  const none = await readLedger({ kind: "files", files: [new File(["x"], "notes.txt")] });
  assert.equal(none.state.problem?.code, "NoLedgerFiles");
});

teamTest(
  "behind a snapshot tables are what they are from the first entry on, and what was before is said not to be known",
  async () => {
    let seen = 0;
    for (const directory of ledgerDirectories()) {
      const [snapshot] = readSnapshotFiles(directory);
      if (snapshot === undefined) continue;
      const all = filesOf(directory);
      const whole = await readLedger({ kind: "files", files: all }, LENIENT);
      const snapshots = readSnapshotFiles(directory).map(({ fileName, bytes }) =>
        new File([bytes as BlobPart], fileName)
      );
      const later = all.filter(({ name }) => !name.startsWith("ledger_1-") && name !== "ledger_1");
      const part = await readLedger({ kind: "files", files: [...later, ...snapshots] }, LENIENT);
      if (whole.state.status === "complete" && part.state.status === "complete" && part.state.signed !== undefined) {
        seen++;
        assert.ok(part.state.fromSnapshot !== undefined);
        const [shown, wanted] = [await shownTables(part), await shownTables(whole)];
        assert.deepEqual(shown, wanted);
        const answer = await part.transaction(1);
        assert.ok(!answer.found && answer.why === "before snapshot");
      }
      await whole.close();
      await part.close();
    }
    assert.ok(seen > 0);
  },
);

teamTest("history and differences say what the tables were", async () => {
  const reading = await readLedger({ kind: "files", files: filesOf(ledgerDirectory("recorded_governance")) }, LENIENT);
  const last = reading.state.signed!.seqno;
  const middle = Math.floor(last / 2);
  const differences = await reading.difference(middle, last, 10_000);
  assert.ok(differences.length > 0);
  for (const { table, changes } of differences) {
    for (const { key, before, after } of changes) {
      assert.deepEqual((await reading.value(table, key, middle))?.value, before);
      assert.deepEqual((await reading.value(table, key, last))?.value, after);
      const history = await reading.history(table, key);
      assert.deepEqual(history[0]!.value, after);
      assert.ok(history.every(({ seqno }, i) => i === 0 || seqno < history[i - 1]!.seqno));
    }
  }
  await reading.close();
});

teamTest("filters find what a walk over all rows finds", async () => {
  const reading = await readLedger({ kind: "files", files: filesOf(ledgerDirectory("recorded_rekey")) }, LENIENT);
  const { rows: all } = await reading.entries({}, 0, 100_000);
  const signed = reading.state.signed!;
  assert.equal(all.length, signed.seqno);
  const same = async (
    filter: Parameters<LedgerReading["entries"]>[0],
    wanted: (row: typeof all[number]) => boolean,
  ) => {
    const { rows, total } = await reading.entries(filter, 0, 100_000);
    const found = all.filter(wanted);
    assert.equal(total, found.length);
    assert.deepEqual(rows, found);
    assert.ok(found.length > 0 && found.length < all.length, JSON.stringify(filter));
    assert.equal(await reading.offsetOf(filter, found.at(-1)!.seqno), found.length - 1);
  };
  await same({ kinds: ["signature"] }, ({ kind }) => kind === "signature");
  await same({ table: "public:ccf.gov.members.info" }, ({ tables }) => tables.includes("public:ccf.gov.members.info"));
  await same({ fromSeqno: 5, toSeqno: 9 }, ({ seqno }) => seqno >= 5 && seqno <= 9);
  await same({ hasPrivate: true }, ({ hasPrivate }) => hasPrivate);
  const times = all.flatMap(({ timeMs }) => timeMs ?? []);
  const limit = times[Math.floor(times.length / 2)]!;
  await same({ toMs: limit - 1 }, ({ timeMs }) => timeMs !== undefined && timeMs < limit);
  await same({ fromMs: limit }, ({ timeMs }) => timeMs !== undefined && timeMs >= limit);
  assert.equal(await reading.seqnoAt(limit), all.find(({ timeMs }) => timeMs! >= limit)!.seqno);
  await reading.close();
});

teamTest(
  "of two ledgers that are opened at once the later one is shown, however long either takes to open",
  async () => {
    const entries = readEntries(ledgerDirectory("recorded_governance"));
    const slow = Promise.withResolvers<void>();
    const names: string[] = [];
    const reading = new LedgerReading({
      onState: ({ sourceName, readSeqno }) => readSeqno > 0 && names.push(sourceName),
      makeSource: async (source) => {
        const url = source.kind === "node" ? source.url : "";
        if (url === "https://first") await slow.promise;
        return new NodeEntries(url, {}, (path) => new MadeUpNode(entries).answer(new URL(path)));
      },
    });
    const first = reading.open({ kind: "node", url: "https://first" }, LENIENT);
    const second = reading.open({ kind: "node", url: "https://second" }, LENIENT);
    slow.resolve();
    await Promise.all([first, second]);
    for (let tries = 0; reading.state.status !== "following"; tries++) {
      assert.ok(tries < 500, JSON.stringify(reading.state));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.deepEqual([...new Set(names)], ["https://second"]);
    await reading.close();
  },
);

teamTest(
  "an entry that is another when it is read again is not shown, and the source is said to have changed",
  async () => {
    const files = await Promise.all(
      filesOf(ledgerDirectory("recorded_governance")).map(async (file) =>
        new ChangingFile([await file.arrayBuffer()], file.name)
      ),
    );
    const reading = await readLedger({ kind: "files", files }, LENIENT);
    const { seqno: last } = reading.state.signed!;
    assert.ok((await reading.transaction(last)).found);
    const isChanged = (error: unknown) => error instanceof ProblemError && error.problem.code === "EntryChanged";
    for (const file of files) file.mask = 1;
    for (let seqno = 1; seqno < last; seqno += 7) {
      await assert.rejects(reading.transaction(seqno), isChanged, `${seqno}`);
    }
    await assert.rejects(reading.table("public:ccf.gov.service.info"), isChanged);
    await reading.close();
  },
);

/** A file that is overwritten after it was read. */
class ChangingFile extends File {
  mask = 0;

  override slice(start?: number, end?: number): Blob {
    const part = super.slice(start, end);
    const { mask } = this;
    if (mask === 0) return part;
    return {
      arrayBuffer: async () =>
        new Uint8Array(await part.arrayBuffer()).map((byte, i) => i === 60 ? byte ^ mask : byte).buffer,
    } as Blob;
  }
}

teamTest(
  "one flipped bit in any place of an entry is found, and nothing from there on is shown as verified",
  async () => {
    const entries = readEntries(ledgerDirectory("recorded_nodes/node0")).slice(0, 30);
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.nat({ max: 7 }), async (which, where, bit) => {
        const changed = entries.map((entry) => entry.slice());
        const at = which % changed.length;
        const bytes = changed[at]!;
        bytes[where % bytes.length]! ^= 1 << bit;
        const reading = await readLedger({ kind: "files", files: [fileOf(changed)] }, LENIENT);
        const { signed, status } = reading.state;
        const { rows } = await reading.entries({ fromSeqno: at + 1 }, 0, 100);
        const what = `bit ${bit} of byte ${where % bytes.length} of entry ${at + 1}`;
        for (const { seqno, kind, proof } of rows) {
          assert.equal(await reading.proof(seqno), undefined, what);
          // The last signature proves what is before it, and its own header only the next one.
          const isLastSignature = seqno === at + 1 && kind === "signature" && seqno === signed?.seqno;
          assert.ok(proof === "unsigned" || isLastSignature, what);
        }
        await reading.close();
        assert.ok((signed?.seqno ?? 0) <= at + 1, what);
        assert.ok(status === "stopped" || status === "complete", what);
      }),
      { numRuns: 60 },
    );
  },
);

/** A ledger file as it lies in a directory. */
function fileOf(entries: readonly Uint8Array[]): File {
  return new File([serialiseChunk(entries, false) as BlobPart], "ledger_1");
}

teamTest(
  "questions are answered in the midst of what one signature covers, those of trust only once it is signed",
  async () => {
    const entries = readEntries(ledgerDirectory("recorded_governance"));
    // Each look at the clock is a turn later.
    let clock = 0;
    const reading = new LedgerReading({
      onState: () => {},
      makeSource: () => Promise.resolve(new NodeEntries("", {}, (path) => node.answer(new URL(path, "https://node")))),
      nowMs: () => clock += PAGE_TURN_MS,
    });
    const node = new MadeUpNode(entries);
    await reading.open(NODE, LENIENT);
    /** Rows that no signature covers yet. */
    const unsigned = async () => {
      const { rows } = await reading.entries({}, 0, entries.length);
      return rows.filter(({ proof }) => proof === "unsigned").length;
    };
    let inTheMidst = 0;
    while (reading.state.status === "reading") {
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (await unsigned() === 0) continue;
      inTheMidst++;
      await reading.trustHistory();
      assert.equal(await unsigned(), 0);
    }
    assert.equal(reading.state.status, "following");
    assert.ok(inTheMidst > 3);
    await reading.close();
  },
);

/** Whoever reads a part of it gets it later than what was asked afterwards; how many parts are awaited is counted. */
class SlowFile extends File {
  static awaited = 0;
  static most = 0;
  #parts = 1000;

  override slice(start?: number, end?: number): Blob {
    const part = super.slice(start, end);
    const read = part.arrayBuffer.bind(part);
    part.arrayBuffer = async () => {
      SlowFile.most = Math.max(SlowFile.most, ++SlowFile.awaited);
      for (let i = this.#parts--; i > 0; i--) await Promise.resolve();
      SlowFile.awaited--;
      return await read();
    };
    return part;
  }
}

teamTest("values of a table are read at once, not one by one, and come in the order of their keys", async () => {
  const directory = ledgerDirectory("recorded_governance");
  const files = await Promise.all(
    filesOf(directory).map(async (file) => new SlowFile([await file.bytes()], file.name)),
  );
  const slow = await readLedger({ kind: "files", files }, LENIENT);
  const quick = await readLedger({ kind: "files", files: filesOf(directory) }, LENIENT);
  SlowFile.most = 0;
  for (const { name } of await quick.tables()) assert.deepEqual(await slow.table(name), await quick.table(name));
  assert.ok(SlowFile.most > 8 && SlowFile.most <= MAX_PAGE_QUESTIONS_AT_ONCE, String(SlowFile.most));
});

Deno.test("what is asked of nothing is refused with a problem", async () => {
  const reading = await readLedger(FILES).catch(() => undefined);
  assert.equal(reading!.state.problem?.code, "NoLedgerFiles");
  await assert.rejects(
    async () => await reading!.tables(),
    (error) => error instanceof ProblemError && error.problem.code === "NothingOpen",
  );
});

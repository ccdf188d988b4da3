import { strict as assert } from "node:assert";
import { equalBytes, fromUtf8Lenient } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { Snapshot, splitSnapshotFile } from "../../shared/ledger/snapshot.ts";
import { MAX_SNAPSHOT_ANSWER_BYTES } from "../../shared/limits.ts";
import { parseReceipt } from "../../shared/receipt/receipt.ts";
import { verifyReceipt } from "../../shared/receipt/verify_receipt.ts";
import { headerOf, odataError, serviceTest } from "../../tests/inline_app.ts";
import type { HttpResponse, StartConfig } from "../messages.ts";
import type { InlineService } from "../../tests/inline_service.ts";

const ADDRESS = { bind_address: "127.0.0.1:1", published_address: "node.example:1" };
const change: Partial<StartConfig> = {
  rpcInterfaces: {
    joiners: { ...ADDRESS, enabled_operator_features: ["SnapshotRead"] },
    unpublished: { bind_address: "127.0.0.1:2", enabled_operator_features: ["SnapshotRead"] },
    users: ADDRESS,
  },
};

function ask({ node }: InlineService, line: string, range?: string, interfaceName = "joiners"): HttpResponse {
  const [method, target] = line.split(" ") as [string, string];
  return node.request({ method, target, headers: range === undefined ? [] : [["range", range]] }, interfaceName);
}

function onlySnapshot({ node }: InlineService): [name: string, file: Uint8Array] {
  assert.equal(node.snapshots.size, 1, "opening a service makes a snapshot");
  return [...node.snapshots][0]!;
}

serviceTest("a joiner is sent to the newest snapshot, and gets it whole", "native", (service) => {
  const [name, file] = onlySnapshot(service);
  for (const line of ["GET /node/snapshot", "HEAD /node/snapshot", "GET /node/snapshot?since=x"]) {
    const { status, headers, body } = ask(service, line);
    assert.deepEqual([status, body.length], [308, 0], line);
    assert.deepEqual(headers, [["location", `https://node.example:1/node/snapshot/${name}`]]);
  }
  const whole = ask(service, `GET /node/snapshot/${name}`);
  assert.equal(whole.status, 206);
  assert.deepEqual(whole.headers, [
    ["accept-ranges", "bytes"],
    ["content-range", `bytes 0-${file.length}/${file.length}`],
    ["content-type", "application/octet-stream"],
    ["x-ms-ccf-snapshot-name", name],
  ]);
  assert(equalBytes(whole.body, file));
  const { snapshot, receipt } = splitSnapshotFile(whole.body);
  const expected = { claimsDigest: Snapshot.parse(snapshot).digest(noblePrimitives) };
  const proof = parseReceipt(fromUtf8Lenient(receipt));
  assert.equal(verifyReceipt(noblePrimitives, proof, service.node.servicePem, expected).verdict, "verified");
}, { change });

serviceTest("HEAD says how long a snapshot is", "native", (service) => {
  const [name, file] = onlySnapshot(service);
  const { status, headers, body } = ask(service, `HEAD /node/snapshot/${name}`);
  assert.deepEqual([status, body.length], [200, 0]);
  assert.deepEqual(headers, [
    ["accept-ranges", "bytes"],
    ["content-length", String(file.length)],
    ["x-ms-ccf-snapshot-name", name],
  ]);
}, { change });

serviceTest("there is no snapshot of later, nor under another name", "native", (service) => {
  const [name] = onlySnapshot(service);
  const seqno = Number(name.split("_")[1]);
  assert.equal(ask(service, `GET /node/snapshot?since=${seqno - 1}`).status, 308);
  for (const since of [seqno, 100_000]) {
    const response = ask(service, `GET /node/snapshot?since=${since}`);
    assert.equal(response.status, 404);
    assert.equal(odataError(response).message, `This node has no committed snapshots since ${since}`);
  }
  for (const wrong of ["..%2F", "snapshot_1_2.committed", name.replace(".committed", "")]) {
    for (const method of ["GET", "HEAD"]) {
      const response = ask(service, `${method} /node/snapshot/${wrong}`);
      assert.equal(response.status, 404);
      assert.equal(odataError(response).message, `This node does not have a snapshot named ${wrong}`);
    }
  }
}, { change });

serviceTest("a service that was never opened has no snapshot", "native", (service) => {
  const response = ask(service, "GET /node/snapshot");
  assert.equal(odataError(response).message, "This node has no committed snapshots since 0");
}, { change, closed: true });

serviceTest("ranges are those of Python's slices, and every answer is 206", "native", (service) => {
  const [name, file] = onlySnapshot(service);
  const size = file.length;
  for (
    const [range, from, to] of [
      ["bytes=0-99", 0, 99],
      ["bytes=0-0", 0, 0],
      ["bytes=10-10", 10, 10],
      ["bytes=10-", 10, size],
      [`bytes=${size}-`, size, size],
      ["bytes=-10", size - 10, size],
      ["bytes=-0", size, size],
      [`bytes=-${size + 1}`, 0, size],
      [`bytes=5-${size + 1000}`, 5, size],
    ] as const
  ) {
    const response = ask(service, `GET /node/snapshot/${name}`, range);
    assert.equal(response.status, 206, range);
    assert.equal(headerOf(response, "content-range"), `bytes ${from}-${to}/${size}`);
    assert(equalBytes(response.body, file.subarray(from, to)), range);
  }
}, { change });

serviceTest("of a large file an answer holds the beginning of what was asked for", "native", (service) => {
  const name = "snapshot_1000_1001.committed";
  const sizeBytes = 3 * MAX_SNAPSHOT_ANSWER_BYTES;
  service.node.enclave.node!.snapshotter.remember({ name, seqno: 1000, sizeBytes });
  service.node.snapshots.set(name, new Uint8Array());
  const given = (range?: string) => headerOf(ask(service, `GET /node/snapshot/${name}`, range), "content-range");
  assert.equal(given(), `bytes 0-${MAX_SNAPSHOT_ANSWER_BYTES}/${sizeBytes}`);
  assert.equal(given("bytes=7-"), `bytes 7-${MAX_SNAPSHOT_ANSWER_BYTES + 7}/${sizeBytes}`);
  assert.equal(given("bytes=7-20"), `bytes 7-20/${sizeBytes}`);
}, { change });

serviceTest("ranges that are none are refused with the reason, and with the snapshot's name", "native", (service) => {
  const [name, file] = onlySnapshot(service);
  for (
    const [range, message] of [
      ["items=0-5", "Only 'bytes' is supported as a Range header unit"],
      ["0-5", "Only 'bytes' is supported as a Range header unit"],
      ["bytes=0-5,7-9", "Multiple ranges are not supported"],
      ["bytes=5", "Invalid format, cannot parse range in bytes=5"],
      ["bytes=", "Invalid format, cannot parse range in bytes="],
      ["bytes=1-2-3", "Invalid format, cannot parse range in bytes=1-2-3"],
      ["bytes=x-9", "Unable to parse start of range value x in bytes=x-9"],
      ["bytes= 1-9", "Unable to parse start of range value  1 in bytes= 1-9"],
      ["bytes=1-y", "Unable to parse end of range value y in bytes=1-y"],
      ["bytes=-z", "Unable to parse end of range offset value z in bytes=-z"],
      ["bytes=10-5", "Invalid range: Start (10) and end (5) out of order"],
      ["bytes=-", "Invalid range: both of its ends are missing"],
      ["bytes=99999999-", `Start of range 99999999 is larger than total file size ${file.length}`],
    ] as const
  ) {
    const response = ask(service, `GET /node/snapshot/${name}`, range);
    assert.equal(response.status, 400, range);
    assert.deepEqual(odataError(response), { code: "InvalidHeaderValue", message });
    assert.equal(headerOf(response, "x-ms-ccf-snapshot-name"), name);
    assert.equal(headerOf(response, "accept-ranges"), "bytes");
  }
}, { change });

serviceTest(
  "only interfaces for joiners show snapshots, and an unpublished one cannot send on",
  "native",
  (service) => {
    const [name] = onlySnapshot(service);
    for (const line of ["GET /node/snapshot", "HEAD /node/snapshot", `GET /node/snapshot/${name}`]) {
      const { status, headers, body } = ask(service, line, undefined, "users");
      assert.deepEqual([status, headers, body.length], [404, [], 0], line);
    }
    const response = ask(service, "GET /node/snapshot", undefined, "unpublished");
    assert.equal(response.status, 500);
    assert.equal(odataError(response).code, "InternalError");
    assert.equal(ask(service, `GET /node/snapshot/${name}`, undefined, "unpublished").status, 206);
  },
  { change },
);

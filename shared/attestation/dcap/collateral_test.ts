import { strict as assert } from "node:assert";
import { makeDcap } from "../../../tests/dcap_machine.ts";
import { fuzzDecoder, mutated } from "../../../tests/mutations.ts";
import { teamData, teamTest } from "../../../tests/team_data.ts";
import { fromHex, fromUtf8, toUtf8 } from "../../bytes.ts";
import { serialisePem } from "../../crypto/pem.ts";
import { MAX_ADVISORIES, MAX_TCB_LEVELS } from "../../limits.ts";
import {
  collateralFromPcs,
  type CollateralTexts,
  collateralTexts,
  parseCollateral,
  type PcsAnswers,
} from "./collateral.ts";
import { parseQeIdentity } from "./qe_identity.ts";
import { parseTcbInfo } from "./tcb_info.ts";

const { collateral } = makeDcap();
const sgx = makeDcap({ version: 3, kind: "sgx" }).collateral;

/** What the PCS would have answered, from which this collateral comes. */
function pcsAnswers(texts: CollateralTexts): PcsAnswers {
  return {
    tcbInfo: {
      body: toUtf8(`{"tcbInfo":${texts.tcb_info},"signature":"${texts.tcb_info_signature}"}`),
      issuerChain: encodeURIComponent(texts.tcb_info_issuer_chain),
    },
    qeIdentity: {
      // Members in another order, and white space around them.
      body: toUtf8(`{ "signature" : "${texts.qe_identity_signature}",\n "enclaveIdentity" :  ${texts.qe_identity} }\n`),
      issuerChain: encodeURIComponent(texts.qe_identity_issuer_chain),
    },
    pckCrl: { body: fromHex(texts.pck_crl!), issuerChain: encodeURIComponent(texts.pck_crl_issuer_chain!) },
    rootCrl: fromHex(texts.root_ca_crl!),
  };
}

Deno.test("collateralFromPcs() cuts out what is signed, exactly as it stands in the answers", () => {
  assert.deepEqual(collateralFromPcs(pcsAnswers(collateral)), collateral);
});

Deno.test("collateralFromPcs() keeps white space inside what is signed", () => {
  const texts = { ...collateral, tcb_info: JSON.stringify(JSON.parse(collateral.tcb_info), undefined, 2) };
  assert.equal(collateralFromPcs(pcsAnswers(texts)).tcb_info, texts.tcb_info);
});

Deno.test("collateralFromPcs() takes lists in DER, PEM and hex, or none", () => {
  const answers = pcsAnswers(collateral);
  const lists = (der: Uint8Array) => [
    der,
    toUtf8(serialisePem("X509 CRL", der)),
    toUtf8(`${collateral.root_ca_crl!.toUpperCase()}\n`),
  ];
  for (const rootCrl of lists(fromHex(collateral.root_ca_crl!))) {
    assert.equal(collateralFromPcs({ ...answers, rootCrl }).root_ca_crl, collateral.root_ca_crl);
  }
  const { tcbInfo, qeIdentity } = answers;
  const without = collateralFromPcs({ tcbInfo, qeIdentity });
  assert.deepEqual([without.root_ca_crl, without.pck_crl, without.pck_crl_issuer_chain], [null, null, null]);
  assert.equal(parseCollateral(without).rootCrl, undefined);
});

Deno.test("collateralFromPcs() refuses answers of another form", () => {
  const answers = pcsAnswers(collateral);
  const { issuerChain } = answers.tcbInfo;
  const wrong: [Partial<PcsAnswers>, RegExp][] = [
    [{ tcbInfo: { body: toUtf8('{"signature":"00"}'), issuerChain } }, /no member "tcbInfo"/],
    [{ tcbInfo: { body: toUtf8('{"tcbInfo":{}}'), issuerChain } }, /"\/signature": it must be text/],
    [{ tcbInfo: { body: toUtf8('{"tcbInfo":{},"tcbInfo":{},"signature":""}'), issuerChain } }, /stands twice/],
    [{ tcbInfo: { body: Uint8Array.of(0xc3), issuerChain } }, /not UTF-8/],
    [{ tcbInfo: { ...answers.tcbInfo, issuerChain: "%zz" } }, /not URL-encoded/],
    [{ rootCrl: toUtf8("not a list") }, /as hex/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => collateralFromPcs({ ...answers, ...change }), { name: "FormatError", message });
  }
});

Deno.test("collateralFromPcs() answers or refuses whatever it is given", () => {
  const answers = pcsAnswers(sgx);
  fuzzDecoder(
    mutated(answers.tcbInfo.body),
    (body) => parseCollateral(collateralFromPcs({ ...answers, tcbInfo: { ...answers.tcbInfo, body } })),
  );
  fuzzDecoder(mutated(answers.rootCrl!), (rootCrl) => parseCollateral(collateralFromPcs({ ...answers, rootCrl })));
});

Deno.test("collateralTexts() takes a collateral file, and refuses what is none", () => {
  assert.deepEqual(collateralTexts(structuredClone(collateral)), collateral);
  const { pck_crl_issuer_chain: _, ...without } = collateral;
  assert.deepEqual(collateralTexts({ ...without, more: 1 }).pck_crl_issuer_chain, null);
  for (const name of Object.keys(without)) {
    assert.throws(() => collateralTexts({ ...collateral, [name]: 1 }), new RegExp(`"/${name}": it must be text`));
    assert.throws(
      () => collateralTexts({ ...collateral, [name]: undefined }),
      new RegExp(`"/${name}": it must be text`),
    );
  }
  for (const json of [null, [], "x", 1]) assert.throws(() => collateralTexts(json), /it must be an object/);
});

Deno.test("parseCollateral() reads signatures of 64 bytes, in hex of either case", () => {
  const upper = { ...collateral, tcb_info_signature: collateral.tcb_info_signature.toUpperCase() };
  assert.deepEqual(parseCollateral(upper).tcbInfo.signature, parseCollateral(collateral).tcbInfo.signature);
  for (const tcb_info_signature of ["", "00", collateral.tcb_info_signature.slice(2), `${"zz".repeat(64)}`]) {
    assert.throws(() => parseCollateral({ ...collateral, tcb_info_signature }), { name: "FormatError" });
  }
});

Deno.test("parseTcbInfo() reads platforms of TDX and SGX, levels in the order they have", () => {
  const info = parseTcbInfo(collateral.tcb_info);
  assert.deepEqual([info.id, info.version, info.fmspc, info.pceId], ["TDX", 3, "00a1b2c3d4e5", "0000"]);
  assert.deepEqual(info.levels.map(({ status }) => status), ["UpToDate", "OutOfDate", "Revoked"]);
  assert.deepEqual(info.levels[1], {
    sgxComponents: new Array(16).fill(5),
    tdxComponents: new Array(16).fill(5),
    pceSvn: 11,
    date: "2025-05-01T00:00:00Z",
    status: "OutOfDate",
    advisoryIds: ["INTEL-SA-00003", "INTEL-SA-00001"],
  });
  assert.equal(info.issueDateMs, Date.UTC(2026, 5, 1));
  assert.deepEqual([...info.tdxModuleIdentities.keys()], ["TDX_01"]);
  assert.equal(info.tdxModuleIdentities.get("TDX_01")!.levels[1]!.isvSvn, 5);
  const plain = parseTcbInfo(sgx.tcb_info);
  assert.equal(plain.id, "SGX");
  assert.equal(plain.levels[0]!.tdxComponents, undefined);
  assert.equal(plain.tdxModule, undefined);
});

Deno.test("parseTcbInfo() refuses what Intel would not write", () => {
  // deno-lint-ignore no-explicit-any -- JSON that is made wrong
  const changed = (change: (info: any) => void, texts = collateral) => {
    const info = JSON.parse(texts.tcb_info);
    change(info);
    return JSON.stringify(info);
  };
  const wrong: [string, RegExp][] = [
    [changed((info) => info.version = 4), /version 4 is not known/],
    [changed((info) => info.id = "SEV"), /it is for "SEV"/],
    [changed((info) => delete info.id), /it is for nothing/],
    [changed((info) => info.fmspc = "00a1b2c3d4"), /6 bytes in hex/],
    [changed((info) => info.fmspc = "00a1b2c3d4eg"), /6 bytes in hex/],
    [changed((info) => info.issueDate = "2026-02-30T00:00:00Z"), /it must be a time/],
    [changed((info) => info.issueDate = "2026-06-01 00:00:00Z"), /it must be a time/],
    [changed((info) => info.issueDate = "2026-06-01T00:00:00.000Z"), /it must be a time/],
    [changed((info) => info.tcbLevels = []), /0 elements and must have 1 to/],
    [changed((info) => info.tcbLevels = new Array(MAX_TCB_LEVELS + 1).fill(null)), /must have 1 to 1000/],
    [changed((info) => info.tcbLevels[0].tcb.pcesvn = 65536), /at most 65535/],
    [changed((info) => info.tcbLevels[0].tcb.pcesvn = -1), /whole number/],
    [changed((info) => info.tcbLevels[0].tcb.sgxtcbcomponents.pop()), /15 elements and must have 16 to 16/],
    [changed((info) => info.tcbLevels[0].tcb.sgxtcbcomponents[3].svn = 256), /at most 255/],
    [changed((info) => info.tcbLevels[0].tcb.sgxtcbcomponents[3].svn = 1.5), /whole number/],
    [changed((info) => delete info.tcbLevels[1].tcb.tdxtcbcomponents), /tdxtcbcomponents": it must be an array/],
    [changed((info) => info.tcbLevels[0].tcbStatus = "Fine"), /tcbStatus": it must be one of/],
    [changed((info) => info.tcbLevels[0].tcbStatus = "TDRelaunchAdvised"), /tcbStatus": it must be one of/],
    [changed((info) => info.tcbLevels[0].advisoryIDs = new Array(MAX_ADVISORIES + 1).fill("")), /must have 0 to 1000/],
    [changed((info) => delete info.tdxModule), /"\/tdxModule": it must be an object/],
    [changed((info) => info.tdxModuleIdentities[0].tcbLevels[0].tcbStatus = "SWHardeningNeeded"), /one of/],
    [changed((info) => info.tdxModuleIdentities.push({ ...info.tdxModuleIdentities[0], id: "tdx_01" })), /twice/],
    [changed((info) => delete info.tcbEvaluationDataNumber), /tcbEvaluationDataNumber": it must be a whole/],
  ];
  for (const [text, message] of wrong) assert.throws(() => parseTcbInfo(text), { name: "FormatError", message });
  const twice = collateral.tcb_info.replace('"tcbType":0', '"tcbType":0,"tcbType":0');
  assert.throws(() => parseTcbInfo(twice), /"tcbType" stands twice/);
});

Deno.test("parseQeIdentity() reads an identity, and refuses what Intel would not write", () => {
  const identity = parseQeIdentity(collateral.qe_identity);
  assert.deepEqual([identity.id, identity.isvProdId, identity.evaluationDataNumber], ["TD_QE", 2, 20]);
  assert.deepEqual(identity.levels.map(({ isvSvn }) => isvSvn), [6, 4, 2]);
  const refuses = (change: object, message: RegExp) => {
    const text = JSON.stringify({ ...JSON.parse(collateral.qe_identity), ...change });
    assert.throws(() => parseQeIdentity(text), { name: "FormatError", message });
  };
  refuses({ version: 1 }, /version 1 is not known/);
  refuses({ mrsigner: "00" }, /32 bytes in hex/);
  refuses({ tcbLevels: [] }, /must have 1 to/);
  refuses(
    { tcbLevels: [{ ...JSON.parse(collateral.qe_identity).tcbLevels[0], tcbStatus: "SWHardeningNeeded" }] },
    /one/,
  );
  refuses({ nextUpdate: "never" }, /it must be a time/);
});

Deno.test("parseTcbInfo() and parseQeIdentity() answer or refuse whatever they are given", () => {
  const text = (bytes: Uint8Array) => fromUtf8(bytes);
  fuzzDecoder(
    mutated(toUtf8(collateral.tcb_info), toUtf8(sgx.tcb_info)),
    (bytes) => parseTcbInfo(text(bytes)),
    (info) => {
      assert.ok(info.levels.every(({ sgxComponents }) => sgxComponents.length === 16));
      assert.ok(Number.isFinite(info.issueDateMs) && Number.isFinite(info.nextUpdateMs));
    },
  );
  fuzzDecoder(mutated(toUtf8(collateral.qe_identity)), (bytes) => parseQeIdentity(text(bytes)), (identity) => {
    assert.equal(identity.mrsigner.length, 32);
  });
});

teamTest("parseCollateral() reads TCB info of version 2, as Intel wrote it until 2023", () => {
  const path = teamData("attestation/vectors/sgx/sgx-v3-debug-tcbinfo-v2/collateral.json");
  const { tcbInfo: { value } } = parseCollateral(collateralTexts(JSON.parse(Deno.readTextFileSync(path))));
  assert.deepEqual([value.id, value.version, value.fmspc], ["SGX", 2, "00906ed50000"]);
  assert.deepEqual(value.levels[0]!.sgxComponents, [17, 17, 2, 4, 1, 128, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(value.levels[0]!.pceSvn, 11);
});

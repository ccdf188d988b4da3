/**
 * What members allow to join, as the tables have it.
 *
 * In: a transaction to read. Out: look-ups for `judgeJoiner()`. A table that is not there allows nothing.
 * Tables: nodes-and-attestation.md §9; ours for Intel's platforms
 */

import type { JoinPolicy } from "../attestation/join_policy.ts";
import type { Transaction } from "../kv/transaction.ts";
import {
  DCAP_TCB_STATUSES,
  SGX_MEASUREMENTS,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "./tables.ts";

/** As of the transaction's version, and what it has written itself. */
export function joinPolicyOf(tx: Transaction): JoinPolicy {
  return {
    hasVirtualMeasurement: (text) => tx.open(VIRTUAL_MEASUREMENTS).has(text),
    hasVirtualHostData: (hex) => tx.open(VIRTUAL_HOST_DATA).has(hex),
    hasSnpMeasurement: (hex) => tx.open(SNP_MEASUREMENTS).has(hex),
    hasSnpHostData: (hex) => tx.open(SNP_HOST_DATA).has(hex),
    uvmMinimumSvn: (did, feed) => {
      const feeds = tx.open(SNP_UVM_ENDORSEMENTS).get(did) ?? {};
      // A feed is text from an endorsement, and might be called like a method that every object has.
      return Object.hasOwn(feeds, feed) ? feeds[feed]!.svn : undefined;
    },
    tcbMinimums: () => tx.open(SNP_TCB_VERSIONS).entries(),
    hasSgxMeasurement: (hex) => tx.open(SGX_MEASUREMENTS).has(hex),
    hasTdxMeasurement: (hex) => tx.open(TDX_MEASUREMENTS).has(hex),
    hasTdxHostData: (hex) => tx.open(TDX_HOST_DATA).has(hex),
    hasDcapTcbStatus: (status) => tx.open(DCAP_TCB_STATUSES).has(status),
  };
}

/** The same, of its own: for a judgement that is made when the tables have moved on. */
export function copyJoinPolicy(tx: Transaction): JoinPolicy {
  const keys = <V>(entries: Iterable<readonly [string, V]>) => new Set(Array.from(entries, ([key]) => key));
  const virtualMeasurements = keys(tx.open(VIRTUAL_MEASUREMENTS).entries());
  const virtualHostData = keys(tx.open(VIRTUAL_HOST_DATA).entries());
  const snpMeasurements = keys(tx.open(SNP_MEASUREMENTS).entries());
  const snpHostData = keys(tx.open(SNP_HOST_DATA).entries());
  const uvm = new Map(
    Array.from(
      tx.open(SNP_UVM_ENDORSEMENTS).entries(),
      ([did, feeds]) => [did, new Map(Object.entries(feeds))] as const,
    ),
  );
  const sgxMeasurements = keys(tx.open(SGX_MEASUREMENTS).entries());
  const tdxMeasurements = keys(tx.open(TDX_MEASUREMENTS).entries());
  const tdxHostData = keys(tx.open(TDX_HOST_DATA).entries());
  const tcbStatuses = keys(tx.open(DCAP_TCB_STATUSES).entries());
  const minimums = [...tx.open(SNP_TCB_VERSIONS).entries()];
  return {
    hasVirtualMeasurement: (text) => virtualMeasurements.has(text),
    hasVirtualHostData: (hex) => virtualHostData.has(hex),
    hasSnpMeasurement: (hex) => snpMeasurements.has(hex),
    hasSnpHostData: (hex) => snpHostData.has(hex),
    uvmMinimumSvn: (did, feed) => uvm.get(did)?.get(feed)?.svn,
    tcbMinimums: () => minimums,
    hasSgxMeasurement: (hex) => sgxMeasurements.has(hex),
    hasTdxMeasurement: (hex) => tdxMeasurements.has(hex),
    hasTdxHostData: (hex) => tdxHostData.has(hex),
    hasDcapTcbStatus: (status) => tcbStatuses.has(status),
  };
}

/**
 * Functions directly on `ccf` that turn one form of data into another, and two switches.
 *
 * Rules and texts: js-apps.md §8.1, CCF src/js/extensions/ccf/converters.cpp
 */

import { FormatError } from "../../../shared/assert.ts";
import { toHex } from "../../../shared/bytes.ts";
import { hash } from "../../../shared/crypto/hashes.ts";
import { parseCertificatePem } from "../../../shared/crypto/x509.ts";
import type { Binding } from "../binding.ts";
import { ScriptError, Uncatchable } from "../machine.ts";
import { type TcbPolicy, tcbPolicy } from "./tcb_policy.ts";

export const converters: Binding = {
  functions: {
    "ccf.strToBuf": {
      length: 1,
      anytime: true,
      run({ machine }, given) {
        given.expect(1);
        if (!machine.isString(given.at(0))) throw new ScriptError("TypeError", "Argument must be a string");
        return machine.newBuffer(machine.utf8Of(given.at(0)));
      },
    },

    "ccf.bufToStr": {
      length: 1,
      anytime: true,
      run({ machine }, given) {
        given.expect(1);
        return machine.newStringFromUtf8(given.buffer(0));
      },
    },

    "ccf.jsonCompatibleToBuf": {
      length: 1,
      anytime: true,
      run({ machine }, given) {
        given.expect(1);
        const text = machine.call("stringify", given.at(0));
        try {
          if (!machine.isString(text)) throw new ScriptError("TypeError", "Argument must be a string");
          return machine.newBuffer(machine.utf8Of(text));
        } finally {
          machine.free(text);
        }
      },
    },

    "ccf.bufToJsonCompatible": {
      length: 1,
      anytime: true,
      run({ machine }, given) {
        given.expect(1);
        return machine.parseJsonUtf8(given.buffer(0), "<json>");
      },
    },

    // Deprecated, without effect: `Date` always tells the time. Answers its argument.
    "ccf.enableUntrustedDateTime": {
      length: 1,
      anytime: true,
      run({ machine }, given) {
        given.expect(1);
        if (!machine.isBoolean(given.at(0))) throw new ScriptError("TypeError", "First argument must be a boolean");
        return machine.newBoolean(machine.booleanOf(given.at(0)));
      },
    },

    // Answers what held before.
    "ccf.enableMetricsLogging": {
      length: 1,
      anytime: true,
      run(call, given) {
        const { machine } = call;
        given.expect(1);
        if (!machine.isBoolean(given.at(0))) throw new ScriptError("TypeError", "First argument must be a boolean");
        const before = call.metricsLogging;
        call.metricsLogging = machine.booleanOf(given.at(0));
        return machine.newBoolean(before);
      },
    },

    "ccf.pemToId": {
      length: 1,
      anytime: true,
      run({ machine }, given) {
        given.expect(1);
        const pem = machine.textOf(given.at(0));
        try {
          return machine.newString(toHex(hash("SHA-256", parseCertificatePem(pem).der)));
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
          throw new ScriptError("InternalError", `Failed to parse PEM: ${error.message}`);
        }
      },
    },

    // Quirk of CCF: what is malformed ends the whole request, and scripts cannot catch it.
    "ccf.tcbHexToPolicy": {
      length: 2,
      anytime: true,
      run({ machine }, given) {
        given.expect(2);
        const cpuid = machine.textOf(given.at(0)), tcb = machine.textOf(given.at(1));
        let policy: TcbPolicy;
        try {
          policy = tcbPolicy(cpuid, tcb);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
          throw new Uncatchable(error.message);
        }
        return machine.newValue(policy);
      },
    },
  },
};

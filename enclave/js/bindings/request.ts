/**
 * The request that an endpoint is called with.
 *
 * Its members are made when they are first asked for: most endpoints read two or three of ten, and a caller's
 * certificate or data may be long. A script sees ordinary members, which it can also assign.
 * Rules and texts: js-apps.md §4, CCF src/js/extensions/ccf/request.cpp
 */

import type { AppRequest } from "../../app_engine.ts";
import type { Arguments, Binding, HostFunction } from "../binding.ts";

export const request: Binding = {
  hidden: {
    member: {
      length: 1,
      run: ({ machine, request }, given) => machine.newValue(memberOf(request, machine.textOf(given.at(0)))),
    },
    text: bodyMethod(({ machine, request }) => machine.newStringFromUtf8(request.body)),
    json: bodyMethod(({ machine, request }) => machine.parseJsonUtf8(request.body, "<body>")),
    arrayBuffer: bodyMethod(({ machine, request }) => machine.newBuffer(request.body)),
  },

  // `newRequest(eager)`: eager for an interpreter that is reused, where a request may be kept and read in a later call.
  setup: `({ member, text, json, arrayBuffer }) => {
    const { defineProperty } = Object;
    const names = ["headers", "query", "path", "method", "hostname", "route", "url", "params", "body", "caller"];
    return (eager) => {
      const request = {};
      const define = (name, value) => {
        defineProperty(request, name,
          { __proto__: null, value, writable: true, enumerable: true, configurable: true });
        return value;
      };
      const defer = (name) => defineProperty(request, name, {
        __proto__: null, enumerable: true, configurable: true,
        get: () => define(name, member(name)),
        set: (value) => { define(name, value); },
      });
      for (let i = 0; i < names.length; i++) {
        if (names[i] === "body") define("body", { text, json, arrayBuffer });
        else if (eager) define(names[i], member(names[i]));
        else defer(names[i]);
      }
      return request;
    };
  }`,
};

function bodyMethod(run: HostFunction["run"]): HostFunction {
  return {
    length: 0,
    run(call, given: Arguments) {
      given.expect(0, "Passed %d arguments, but expected none");
      return run(call, given);
    },
  };
}

function memberOf(request: AppRequest, name: string): unknown {
  switch (name) {
    case "hostname":
      return request.headers["host"] ?? null;
    case "url":
      return request.query === "" ? request.path : `${request.path}?${request.query}`;
    default:
      return request[name as "headers" | "query" | "path" | "method" | "route" | "params" | "caller"];
  }
}

import { strict as assert } from "node:assert";
import { JOIN_LOG_REPEAT_MS, MAX_REFUSED_JOINERS } from "../shared/limits.ts";
import { RefusedJoiners } from "./refused_joiners.ts";

Deno.test("RefusedJoiners has what is new of a node logged, and what is not once a minute", () => {
  const refused = new RefusedJoiners();
  assert(refused.isDue("a", "host data", 0));
  assert(!refused.isDue("a", "host data", 1000));
  assert(refused.isDue("b", "host data", 1000), "another node");
  assert(refused.isDue("a", "measurement", 2000), "another reason");
  assert(refused.isDue("a", "host data", 3000), "and the first again");
  assert(!refused.isDue("a", "host data", 3000 + JOIN_LOG_REPEAT_MS - 1));
  assert(refused.isDue("a", "host data", 3000 + JOIN_LOG_REPEAT_MS));
});

Deno.test("RefusedJoiners forgets who was logged longest ago", () => {
  const refused = new RefusedJoiners();
  for (let i = 0; i <= MAX_REFUSED_JOINERS; i++) assert(refused.isDue(`node ${i}`, "no", i));
  assert(!refused.isDue("node 1", "no", MAX_REFUSED_JOINERS));
  assert(refused.isDue("node 0", "no", MAX_REFUSED_JOINERS));
});

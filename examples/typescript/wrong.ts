// Calls that must not compile. Nothing runs them: TypeScript refuses the build if
// one of the lines that are marked is taken after all.
import { call, newGateway, type Problem } from "./client.js";

export function wrong(problem: Problem) {
  const gateway = newGateway("http://127.0.0.1:8080");

  // @ts-expect-error sf is a number
  void call(gateway, "echo", { body: "hello", vars: { sf: "7" } });
  // @ts-expect-error sf is required
  void call(gateway, "echo", { body: "hello", vars: { has_crc: true } });
  // @ts-expect-error so are the vars
  void call(gateway, "echo", { body: "hello" });
  // @ts-expect-error echo has no such var
  void call(gateway, "echo", { body: "hello", vars: { sf: 7, gain: 1 } });
  // @ts-expect-error sleep has no vars
  void call(gateway, "sleep", { body: "1s", vars: { sf: 7 } });
  // @ts-expect-error the envelope has no such member
  void call(gateway, "sleep", { payload: "1s" });
  // @ts-expect-error there is no such encoding
  void call(gateway, "sleep", { body: "AAEC", encoding: "hex" });
  // @ts-expect-error the catalogue has no such service
  void call(gateway, "lora", { body: "hello" });

  // The client's own methods, whatever kind of body they are given.
  // @ts-expect-error sf is a number
  void gateway.POST("/services/echo", { body: { body: "hello", vars: { sf: "7" } } });
  // @ts-expect-error in a form too
  void gateway.POST("/services/echo", { body: { frame: [], vars: { sf: "7" } } });
  // @ts-expect-error there is no such route
  void gateway.GET("/service");

  // @ts-expect-error only a timeout has a limit
  problem.limit_ms;
  return problem.code === "timeout" ? problem.limit_ms : 0;
}

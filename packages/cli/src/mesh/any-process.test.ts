import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { CliError } from "../cli-error.ts";
import { callAnyProcess } from "./any-process.ts";
import type { AdminProcess } from "./mesh.ts";

const [away, there] = [{}, {}] as AdminProcess[];
const unavailable = new ConnectError("nobody is there", Code.Unavailable);

test("calls the next one where one can't be reached", async () => {
  const call = async (process: AdminProcess): Promise<string> => {
    if (process === away) throw unavailable;
    return "answered";
  };
  expect(await callAnyProcess([away!, there!], call)).toBe("answered");
});

test("passes on what is wrong with an answer as it is", async () => {
  const wrong = new CliError("the store answers without a report");
  const call = (): Promise<never> => Promise.reject(wrong);
  await expect(callAnyProcess([away!, there!], call)).rejects.toBe(wrong);
});

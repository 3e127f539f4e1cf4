import { defineConfig } from "vitest/config";

const everywhere = ["packages", "services", "e2e", "bench", "deploy", "examples", "tools"];
const exclude = ["**/node_modules/**", "**/gen/**"];
const SERVER_TESTS = ["integration", "e2e"];

export default defineConfig({
  test: {
    reporters: ["default", "./tools/tally-reporter.ts"],
    projects: [
      {
        test: {
          name: "unit",
          include: everywhere.map((folder) => `${folder}/**/*.test.ts`),
          // Properties take a while where a machine is busy.
          testTimeout: 30_000,
          exclude: [...exclude, ...SERVER_TESTS.map((kind) => `**/*.${kind}.test.ts`)],
        },
      },
      {
        test: {
          name: "servers",
          include: everywhere.flatMap((folder) =>
            SERVER_TESTS.map((kind) => `${folder}/**/*.${kind}.test.ts`),
          ),
          exclude,
          globalSetup: ["packages/local/src/test-servers.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // After the unit tests: the servers and the services under test share the machine with the tests.
          sequence: { groupOrder: 1 },
          maxWorkers: 2,
        },
      },
    ],
  },
});

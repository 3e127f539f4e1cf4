import type { Reporter, SerializedError, TestModule } from "vitest/node";

/**
 * Closes a test run: names every skipped test with its reason, then one line such as "214 passed, 0 failed". A file that
 * could not be run, and an error outside all tests, count as failed.
 */
export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    const skipped: string[] = [];
    for (const module of modules) {
      if (!module.ok() && module.errors().length > 0) failed += 1;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "passed") passed += 1;
        else if (result.state === "failed") failed += 1;
        else
          skipped.push(
            `skipped: ${test.fullName}: ${("note" in result && result.note) || "no reason given"}`,
          );
      }
    }
    const counts = [`${passed} passed`, `${failed} failed`];
    if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
    console.log([...skipped, counts.join(", ")].join("\n"));
  }
}

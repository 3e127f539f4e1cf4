import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const documents = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  cwd: root,
  encoding: "utf8",
})
  .trim()
  .split("\n")
  .filter((file) => existsSync(join(root, file)));

/** Without what is shown as code: `[…](…)` in it is no link, and "# …" no heading. */
const prose = (file: string): string =>
  readFileSync(join(root, file), "utf8")
    .replaceAll(/^( *)(```|~~~)[^\n]*\n[\s\S]*?^\1\2 *$/gm, "")
    .replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, " "));

/** What GitHub makes of headings; the second of the same text gets a number. */
function anchorsOf(file: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of prose(file).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const text = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = text.replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, "").replaceAll(" ", "-");
    let unique = anchor;
    for (let i = 1; anchors.has(unique); i++) unique = `${anchor}-${i}`;
    anchors.add(unique);
  }
  return anchors;
}

/** What is wrong with the links of one document; those to other sites are not followed. */
function brokenLinks(file: string): string[] {
  const links = [...prose(file).matchAll(/\]\((?![a-z]+:)<?([^)\s>]+)>?(?: "[^"]*")?\)/g)].map(
    ([, to]) => to!,
  );
  return links.flatMap((link) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? file : relative(root, join(root, dirname(file), path));
    if (!existsSync(join(root, target))) return [`${link}: there is no ${target}`];
    if (anchor === undefined || !target.endsWith(".md")) return [];
    return anchorsOf(target).has(anchor) ? [] : [`${link}: ${target} has no such heading`];
  });
}

test("there are documents", () => {
  expect(documents).toEqual(
    expect.arrayContaining(["README.md", "docs/tracing.md", "services/store/README.md"]),
  );
});

test.each(documents)("%s links to nothing that is not there", (file) => {
  expect(brokenLinks(file)).toEqual([]);
});

test("every explanation that errors point to is in docs/errors.md", () => {
  const sources = execFileSync(
    "git",
    ["grep", "-hoE", "docs/[a-z-]+\\.md#[a-z_-]+", "--", "*.ts", "*.yml", "*.proto"],
    {
      cwd: root,
      encoding: "utf8",
    },
  );
  for (const reference of new Set(sources.trim().split("\n"))) {
    const [file, anchor] = reference.split("#") as [string, string];
    expect(anchorsOf(file).has(anchor), reference).toBe(true);
  }
});

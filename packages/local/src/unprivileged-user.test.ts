import { expect, test } from "vitest";
import { chooseUnprivilegedUser } from "./unprivileged-user.ts";

const passwd = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:100::/home/ada:/bin/sh\nnobody:x:65534:65533:::\n";

test("takes the first user that is not root", () => {
  expect(chooseUnprivilegedUser(passwd, 1000, 65534)).toEqual({ uid: 1000, gid: 100 });
  expect(chooseUnprivilegedUser(passwd, 0, 1000)).toEqual({ uid: 1000, gid: 100 });
});

test("takes nobody when there is no other, or the other has no line of its own", () => {
  expect(chooseUnprivilegedUser(passwd, 0, 0)).toEqual({ uid: 65534, gid: 65533 });
  expect(chooseUnprivilegedUser(passwd, 4711)).toEqual({ uid: 65534, gid: 65533 });
  expect(chooseUnprivilegedUser("root:x:0:0:::\n", 4711)).toBeUndefined();
});

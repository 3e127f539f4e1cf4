import { setTimeout as sleep } from "node:timers/promises";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { AuditService } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { bind, closeServer } from "@chowhound/shared/rpc/admin-server";
import { grpcServiceDefinition, unaryHandlers } from "@chowhound/shared/rpc/grpc-service";
import { serverStreamHandler } from "@chowhound/shared/rpc/server-stream";
import { Code } from "@connectrpc/connect";
import { Server } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openConnection } from "./connection.ts";

const ANSWER_MS = 600;
const server = new Server();
let url: string;

beforeAll(async () => {
  const slowly = async () => {
    await sleep(ANSWER_MS);
    return {};
  };
  server.addService(
    grpcServiceDefinition(AdminService),
    unaryHandlers(
      AdminService,
      { getStatus: slowly, pause: slowly, resume: slowly, drain: slowly, setLogLevel: slowly },
      () => {},
    ),
  );
  const audit = serverStreamHandler(
    AuditService.method.audit,
    async function* () {
      yield await slowly();
    },
    () => {},
  );
  server.addService(grpcServiceDefinition(AuditService), { audit });
  url = `http://127.0.0.1:${await bind(server, "127.0.0.1", 0)}`;
});
afterAll(() => closeServer(server, 100));

const connect = () =>
  openConnection({
    url,
    from: "--admin",
    signal: new AbortController().signal,
    callTimeoutMs: ANSWER_MS / 3,
  });

test("a call that takes too long is given up, unless it sets another time", async () => {
  const admin = connect().client(AdminService);
  await expect(admin.getStatus({})).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  await admin.getStatus({}, { timeoutMs: 0 });
});

test("a stream, such as an audit that waits for what is under way, takes as long as it takes", async () => {
  let answers = 0;
  for await (const _ of connect().client(AuditService).audit({})) answers++;
  expect(answers).toBe(1);
});

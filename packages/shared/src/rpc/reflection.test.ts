import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { type ClientDuplexStream, credentials, makeClientConstructor, Server } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ServiceStatus } from "../runtime/service-status.ts";
import { addHealth, bind, closeServer } from "./admin-server.ts";
import { addReflection } from "./reflection.ts";

const { resolve } = createRequire(import.meta.url);
const reflectionPackage = dirname(resolve("@grpc/reflection/package.json"));
const buf = join(dirname(resolve("@bufbuild/buf/package.json")), "bin/buf");

let server: Server;
let port: number;

beforeAll(async () => {
  server = new Server();
  addHealth(server, new ServiceStatus());
  addReflection(server, [AdminService, IngestionService]);
  port = await bind(server, "127.0.0.1", 0);
});
afterAll(() => closeServer(server, 1_000));

interface ReflectionResponse {
  list_services_response?: { service: { name: string }[] };
  file_descriptor_response?: { file_descriptor_proto: Buffer[] };
  error_response?: { error_code: number };
}

/** Asks as grpcurl and buf curl do. */
function ask(version: "v1" | "v1alpha", request: object): Promise<ReflectionResponse> {
  const file = join(reflectionPackage, `build/proto/grpc/reflection/${version}/reflection.proto`);
  const definition = loadSync(file, { keepCase: true })[`grpc.reflection.${version}.ServerReflection`];
  const Constructor = makeClientConstructor(definition as never, "ServerReflection");
  const client = new Constructor(`127.0.0.1:${port}`, credentials.createInsecure());
  const start = client.ServerReflectionInfo as () => ClientDuplexStream<object, ReflectionResponse>;
  const stream = start.call(client);
  return new Promise<ReflectionResponse>((resolve, reject) => {
    stream.on("data", resolve);
    stream.on("error", reject);
    stream.write(request);
  }).finally(() => {
    stream.end();
    client.close();
  });
}

describe.each(["v1", "v1alpha"] as const)("reflection %s", (version) => {
  test("lists what is served", async () => {
    const answer = await ask(version, { list_services: "" });
    expect(answer.list_services_response!.service.map(({ name }) => name).toSorted()).toEqual([
      "chowhound.v1.AdminService",
      "chowhound.v1.IngestionService",
      "grpc.health.v1.Health",
    ]);
  });

  test.each(["chowhound.v1.AdminService", "chowhound.v1.IngestionService"])(
    "describes %s completely: a client can call it knowing nothing",
    async (name) => {
      const files: FileDescriptorProto[] = [];
      const wanted: object[] = [{ file_containing_symbol: name }];
      for (const request of wanted) {
        const answer = await ask(version, request);
        for (const bytes of answer.file_descriptor_response!.file_descriptor_proto) {
          const file = fromBinary(FileDescriptorProtoSchema, bytes);
          if (files.some((known) => known.name === file.name)) continue;
          files.push(file);
          wanted.push(...file.dependency.map((dependency) => ({ file_by_filename: dependency })));
        }
      }
      // A registry wants each file behind those that it imports.
      const file: FileDescriptorProto[] = [];
      const add = (path: string): void => {
        const found = files.find((candidate) => candidate.name === path)!;
        if (file.includes(found)) return;
        found.dependency.forEach(add);
        file.push(found);
      };
      for (const { name: path } of files) add(path);
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file }));
      expect(registry.getService(name)!.methods.length).toBeGreaterThan(0);
    },
  );

  test("says what it doesn't know", async () => {
    const answer = await ask(version, { file_containing_symbol: "chowhound.v1.Nothing" });
    expect(answer.error_response!.error_code).toBe(5);
  });
});

/** Runs `buf curl`, which trusts nothing but reflection and is strict about descriptors. */
async function bufCurl(...args: string[]): Promise<string> {
  const flags = ["curl", "--protocol", "grpc", "--http2-prior-knowledge"];
  const { stdout } = await promisify(execFile)(process.execPath, [buf, ...flags, ...args]);
  return stdout;
}

describe("a command line client that knows only the address", () => {
  test("sees every method", async () => {
    const methods = (await bufCurl("--list-methods", `http://127.0.0.1:${port}`)).trim().split("\n");
    expect(methods).toEqual(
      expect.arrayContaining([
        ...AdminService.methods.map(({ name }) => `chowhound.v1.AdminService/${name}`),
        ...["Check", "List", "Watch"].map((name) => `grpc.health.v1.Health/${name}`),
      ]),
    );
  });

  test("can ask for the health", async () => {
    const answer = await bufCurl("-d", "{}", `http://127.0.0.1:${port}/grpc.health.v1.Health/List`);
    expect(JSON.parse(answer)).toEqual({ statuses: { "": { status: "NOT_SERVING" } } });
  });
});

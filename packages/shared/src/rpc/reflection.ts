import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoPath as healthProtoPath } from "grpc-health-check";

/** Adds server reflection for the given services and for grpc.health.v1. */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Map<string, DescFile>();
  const visit = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    file.dependencies.forEach(visit);
  };
  for (const service of services) visit(service.file);
  const fileDescriptorProtos = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // The reflection package takes what proto-loader makes; of that it reads only the file descriptors.
  const definition = { chowhound: { fileDescriptorProtos } } as unknown as PackageDefinition;
  const exposed = [...services.map((service) => service.typeName), "grpc.health.v1.Health"];
  new ReflectionService({ ...definition, ...loadSync(healthProtoPath) }, { services: exposed }).addToServer(
    server,
  );
}

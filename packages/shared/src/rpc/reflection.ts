import { type DescFile, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
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
  const fileDescriptorProtos = [...[...files.values()].map((file) => file.proto), healthFile()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file)),
  );
  // The reflection package takes what proto-loader makes; of that it reads only the file descriptors.
  const definition = { chowhound: { fileDescriptorProtos } } as unknown as PackageDefinition;
  const exposed = [...services.map((service) => service.typeName), "grpc.health.v1.Health"];
  new ReflectionService(definition, { services: exposed }).addToServer(server);
}

/** The file of grpc.health.v1 as strict clients take it: proto-loader doesn't name map entries as protoc does. */
function healthFile(): FileDescriptorProto {
  const { fileDescriptorProtos } = loadSync(healthProtoPath)["grpc.health.v1.HealthCheckResponse"] as {
    fileDescriptorProtos: Buffer[];
  };
  const file = fromBinary(FileDescriptorProtoSchema, fileDescriptorProtos[0]!);
  for (const { field: fields, nestedType: nested } of file.messageType) {
    for (const entry of nested.filter(({ options }) => options?.mapEntry)) {
      for (const field of fields) if (field.typeName === entry.name) field.typeName += "Entry";
      entry.name += "Entry";
    }
  }
  return file;
}

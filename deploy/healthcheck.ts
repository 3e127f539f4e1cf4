/** Exit code 0 if the service of this container is SERVING, by grpc.health.v1 on its admin port; 1 if not. */
import { credentials, makeClientConstructor, type ServiceError } from "@grpc/grpc-js";
import { service } from "grpc-health-check";

const timeoutMs = 2_000;
const Health = makeClientConstructor(service, "grpc.health.v1.Health");
const client = new Health(`127.0.0.1:${process.env.CHOWHOUND_ADMIN_PORT}`, credentials.createInsecure());
client.check!(
  { service: "" },
  { deadline: Date.now() + timeoutMs },
  (error: ServiceError | null, answer?: { status: string }) => {
    const state = error?.details ?? answer?.status;
    console.log(state);
    process.exit(state === "SERVING" ? 0 : 1);
  },
);

import { DiskError } from "../core/errors.ts";

/** The DiskError that the work ends with. Whatever else it throws is passed on, and that it succeeds is an error too. */
export async function failure(work: Promise<unknown>): Promise<DiskError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
  throw new Error("it succeeded, where a DiskError was expected");
}

import { check } from "./check.ts";
import { compare } from "./compare.ts";
import { convert } from "./convert.ts";
import { info } from "./info.ts";
import { map } from "./map.ts";
import { measure } from "./measure.ts";
import { rebase } from "./rebase.ts";
import { repair } from "./repair.ts";
import type { Verb } from "./verb.ts";

export const VERBS: Readonly<Record<string, Verb>> = { check, compare, convert, info, map, measure, rebase, repair };

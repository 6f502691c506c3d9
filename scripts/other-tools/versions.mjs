/** The version of each program, as the page states it. */
import { judge } from "../conformance/programs.mjs";
import { judges } from "../judges.mjs";

const SPEAKERS = {
  "qemu-img": { args: ["--version"], pattern: /qemu-img version (\S+)/ },
  "7zz": { args: [], pattern: /7-Zip \(z\) (\S+)/ },
  dmg2img: { args: [], pattern: /dmg2img v(\S+)/ },
  vmdkinfo: { args: ["-V"], pattern: /vmdkinfo (\S+)/ },
  vhdiinfo: { args: ["-V"], pattern: /vhdiinfo (\S+)/ },
  ewfacquirestream: { args: ["-V"], pattern: /ewfacquirestream (\S+)/ },
  cryptsetup: { args: ["--version"], pattern: /cryptsetup (\S+)/ },
  xz: { args: ["--version"], pattern: /xz \(XZ Utils\) (\S+)/ },
  zstd: { args: ["--version"], pattern: /v(\d[\d.]*)/ },
};

/** → the version, "unknown" when the program does not tell, null when it is not installed. */
export async function versionOf(name) {
  const program = judge(name);
  if (program === null) return null;
  const speaker = SPEAKERS[name];
  const spoken = speaker && (await program.run(speaker.args));
  const told = spoken && speaker.pattern.exec(spoken.stdout + spoken.stderr)?.[1];
  return told ?? (await packaged(judges[name]));
}

/** simg2img has no version of its own; Debian's package has one. */
async function packaged(name) {
  const answer = await judge("dpkg-query")?.run(["-W", "-f", "$" + "{Version}", name]);
  return answer?.code === 0 ? `Debian ${answer.stdout.trim()}` : "unknown";
}
